"""Alerts as code: conditions, the cases that prove them, and routing."""
