"""Base backups and dumps of PostgreSQL, scratch servers, fingerprints."""
