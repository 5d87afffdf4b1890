"""Demo data: a university network that looks lived in, the same for the same seed."""
