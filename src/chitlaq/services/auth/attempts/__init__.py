"""Attempts to sign in: limits, growing pauses, and devices that are known."""
