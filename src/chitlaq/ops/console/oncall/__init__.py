"""On call in the console: who, since when, until when, and by which channels."""
