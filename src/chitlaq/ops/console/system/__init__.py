"""Screens that show the system: services, routines, backups, capacity."""
