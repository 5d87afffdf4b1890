"""Dashboards as code: panels as plain data, and Grafana's JSON made of them."""
