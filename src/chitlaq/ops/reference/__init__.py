"""The metrics page: every metric, and what uses it."""
