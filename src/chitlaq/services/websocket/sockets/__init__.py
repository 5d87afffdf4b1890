"""Sockets: frames in and out, and who is connected."""
