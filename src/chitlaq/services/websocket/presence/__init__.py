"""Presence: who is typing and who is there, never stored."""
