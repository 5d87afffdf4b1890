"""Bookmarks: posts that a member keeps for themselves."""
