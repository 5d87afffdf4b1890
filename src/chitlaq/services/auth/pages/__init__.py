"""Joining, signing in and out as pages, which work without scripts; and the mailbox of a first look."""
