"""The components of a ChitLaq installation, by the runbook's names."""

from __future__ import annotations

SERVICES = (
    "auth-service",
    "feed-service",
    "search-service",
    "websocket",
    "api-gateway",
    "ops-service",
)
ARCHIVE = "wal-archive"
MONITORING = ("node-exporter", "alertmanager", "prometheus")
NAMES = ("postgres", "redis", "migrate", *SERVICES, "nginx", ARCHIVE, *MONITORING)
