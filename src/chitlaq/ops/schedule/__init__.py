"""Routines and backups at their times."""
