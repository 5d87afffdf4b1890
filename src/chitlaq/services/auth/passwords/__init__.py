"""Passwords: which may be chosen, forgotten ones, changes; and changes of the address."""
