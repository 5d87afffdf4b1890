"""Threads: a post between what it answers and what answers it."""
