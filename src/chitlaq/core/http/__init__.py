"""The HTTP side of every service."""
