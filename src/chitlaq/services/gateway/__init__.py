"""api-gateway: nginx's configuration, health and documentation of all services, access log metrics."""
