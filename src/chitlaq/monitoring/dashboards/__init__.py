"""Dashboards as code: panels as plain data, rendered to Grafana's JSON."""
