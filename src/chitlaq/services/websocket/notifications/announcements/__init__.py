"""Announcements of the university: to all members, or to those of a part of it."""
