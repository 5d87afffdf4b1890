"""The servers and services that the stack starts."""
