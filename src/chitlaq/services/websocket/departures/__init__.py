"""What the websocket service keeps of a member: its export and its erasure."""
