"""The nine dashboards, drawn from the declarations that Grafana's are rendered from."""
