"""Exporter, alerts, dashboards, and the configuration of Prometheus and Alertmanager."""
