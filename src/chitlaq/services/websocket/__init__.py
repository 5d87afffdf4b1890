"""The websocket service: real-time events for members."""
