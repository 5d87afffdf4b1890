"""The embedded machine: real servers and the services, kept running on one computer."""
