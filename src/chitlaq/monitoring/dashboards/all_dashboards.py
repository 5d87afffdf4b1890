"""All dashboards; importing them does not need the Grafana library."""

from __future__ import annotations

from chitlaq.monitoring.dashboards import machines, members

DASHBOARDS = (
    members.OVERVIEW,
    members.SERVICES,
    machines.POSTGRESQL,
    machines.VALKEY,
    members.WEBSOCKET,
    machines.HOST,
    machines.SECURITY,
    members.BUSINESS,
    members.PROMISES,
)
