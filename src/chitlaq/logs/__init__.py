"""Log files: rotation, reading, analysis."""
