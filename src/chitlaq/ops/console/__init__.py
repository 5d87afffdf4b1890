"""The operations console: operators' sessions, pages and actions in a browser."""
