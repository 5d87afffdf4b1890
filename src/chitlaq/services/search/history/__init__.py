"""What a member searched for."""
