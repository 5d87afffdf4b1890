"""The memory of operations: an SQLite database that needs nothing else to run."""
