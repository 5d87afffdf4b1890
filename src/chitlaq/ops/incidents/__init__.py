"""Incidents: what opens one, what joins it, what happened, what it did to members."""
