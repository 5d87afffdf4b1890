"""Disasters as an operator meets them: what is seen first, what alerts, and what is left after the mend."""
