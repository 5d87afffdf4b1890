"""Leaving: a copy of everything that is kept of a member, and its erasure."""
