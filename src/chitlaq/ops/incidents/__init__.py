"""Incidents: what needs a person, which alert joins which, and what happened until it was over."""
