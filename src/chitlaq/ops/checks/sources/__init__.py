"""What checks read: the machine and its programs, Prometheus and Alertmanager, PostgreSQL, Valkey."""
