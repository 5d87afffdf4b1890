"""Who waits for locks in PostgreSQL, for whom, and for how long already."""
