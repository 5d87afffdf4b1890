"""Acting through the console: a plan, a reason, a confirmation."""
