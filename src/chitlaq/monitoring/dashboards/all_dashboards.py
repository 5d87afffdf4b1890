"""All dashboards; importing them does not need the Grafana library."""

from __future__ import annotations

from chitlaq.monitoring.dashboards import activity, databases, host, security, services, sites, slos

DASHBOARDS = (
    services.OVERVIEW,
    services.SERVICES,
    databases.POSTGRESQL,
    databases.VALKEY,
    sites.SITE,
    services.WEBSOCKET,
    host.HOST,
    security.SECURITY,
    activity.ACTIVITY,
    slos.SLOS,
)
