"""Restores: the plan, and carrying it out."""
