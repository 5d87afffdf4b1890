"""When routines and backups run by themselves."""
