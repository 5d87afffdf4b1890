"""PostgreSQL, Valkey, and what is built on them: batching, events, jobs, mail, migrations."""
