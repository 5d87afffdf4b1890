"""What keeps processes running."""
