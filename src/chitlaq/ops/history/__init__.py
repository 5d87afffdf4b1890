"""The history of operations: runs, notes, alerts, and records that wait to be stored."""
