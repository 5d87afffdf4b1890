"""Metrics that ops-service exports for components that export none themselves."""
