"""api-gateway: nginx's configuration, health and documentation of all, edge metrics, web pages."""
