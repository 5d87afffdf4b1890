"""PostgreSQL, Valkey, and what is built on them: batching, events, mail, migrations."""
