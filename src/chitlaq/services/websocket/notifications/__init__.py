"""Notifications: what happened to members, told once, where they want it."""
