"""The runbook's checks: each is a declaration and a function that measures and judges."""
