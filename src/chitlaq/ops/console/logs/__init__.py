"""The screen Logs."""
