"""What Prometheus and Alertmanager watch: exporter, alerts, dashboards, their configuration."""
