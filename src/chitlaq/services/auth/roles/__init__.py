"""Roles, disabled accounts, and what operators do with accounts."""
