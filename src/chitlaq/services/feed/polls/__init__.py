"""Polls: questions that a post asks."""
