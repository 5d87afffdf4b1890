"""Interactions: who liked, reposted or quoted a post."""
