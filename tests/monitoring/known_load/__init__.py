"""A service with known behaviour: each request takes 120 ms, three in a hundred fail."""

SECONDS = 0.12
FAILURES = {20, 50, 80}
"""Which of a hundred requests fail."""
