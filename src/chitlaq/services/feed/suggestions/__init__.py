"""Suggestions: whom a member may want to follow."""
