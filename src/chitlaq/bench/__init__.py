"""Benchmarks of the system against a baseline: `chitlaq bench`."""
