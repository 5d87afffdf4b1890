"""websocket: what members hear at once."""
