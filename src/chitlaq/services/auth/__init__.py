"""auth-service: accounts, sessions and tokens."""
