"""The schedule of routines and backups."""
