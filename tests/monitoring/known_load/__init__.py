"""A service whose answers have a known shape: each request takes 120 ms, three of a hundred fail."""

SECONDS = 0.12
FAILURES = {20, 50, 80}
"""Which of a hundred requests fail."""
