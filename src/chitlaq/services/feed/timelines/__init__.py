"""Timelines: the home feed."""
