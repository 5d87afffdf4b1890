"""Alerts as code: what is watched, how each alert is proved, and where it goes."""
