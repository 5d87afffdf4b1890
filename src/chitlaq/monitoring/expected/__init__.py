"""What certain answers of services must contain: one that is well-formed may be empty, old, or another's."""
