"""Encrypted off-site copies, and fetching them."""
