"""Encrypted copies in another place, and fetching them back."""
