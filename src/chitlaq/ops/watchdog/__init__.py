"""What watches when Prometheus and Alertmanager do not: probes of its own, heartbeats."""
