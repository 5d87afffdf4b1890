"""The metrics page: what is measured, and what uses it."""
