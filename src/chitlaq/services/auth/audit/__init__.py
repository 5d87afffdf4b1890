"""The audit log: what happened to an account's security, for its owner and for operators."""
