"""Timelines: the home feed, explore and hashtags."""
