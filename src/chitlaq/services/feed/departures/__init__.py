"""What feed-service keeps of a member: its export and its erasure."""
