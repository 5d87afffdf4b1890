"""search-service: finding members, tags, and what was searched for before."""
