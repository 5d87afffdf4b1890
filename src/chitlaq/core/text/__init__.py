"""What members write: its length, what is kept of it, and the tags, mentions and links in it."""
