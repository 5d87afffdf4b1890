"""Escalation: when somebody must be told of an incident, and whether it was done."""
