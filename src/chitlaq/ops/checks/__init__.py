"""The runbook's checks: each is a declaration and a function that judges what it sees."""
