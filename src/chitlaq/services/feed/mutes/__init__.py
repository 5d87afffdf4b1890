"""Mutes: people, words, hashtags and threads that a member does not want to see in feeds."""
