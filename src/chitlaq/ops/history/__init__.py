"""What operations remember: runs, alerts, and what waits to be stored."""
