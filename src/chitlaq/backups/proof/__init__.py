"""Verification and restore drills: what makes a backup a good one."""
