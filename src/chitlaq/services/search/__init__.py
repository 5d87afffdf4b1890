"""search-service: finding members by name."""
