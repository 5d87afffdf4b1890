"""Members: their profiles."""
