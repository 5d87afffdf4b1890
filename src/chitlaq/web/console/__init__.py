"""Templates and static files of the operations console and the status page."""
