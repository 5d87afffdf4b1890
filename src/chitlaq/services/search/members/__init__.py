"""Members by name."""
