"""Drafts: posts that are not published yet, or not before a moment."""
