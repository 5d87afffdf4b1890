"""Posts, replies and likes."""
