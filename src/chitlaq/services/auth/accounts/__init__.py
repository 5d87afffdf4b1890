"""Accounts: registration and verified addresses."""
