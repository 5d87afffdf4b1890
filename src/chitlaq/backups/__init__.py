"""Backups that are proved: made, verified, restored into a scratch server and compared, every day."""
