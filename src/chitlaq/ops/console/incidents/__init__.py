"""Incidents in the console: the list, one with its timeline, and what is done to it."""
