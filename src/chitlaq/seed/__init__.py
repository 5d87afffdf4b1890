"""Demo data: a plausible university network, reproducible from its seed."""
