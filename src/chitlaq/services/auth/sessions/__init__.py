"""Sessions: signed-in devices and their tokens."""
