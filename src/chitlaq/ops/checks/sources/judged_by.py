"""Which check says what ails a component, so that it explains those that cannot read the component."""

from __future__ import annotations

from chitlaq import inventory

SUPERVISOR = "services.processes"
POSTGRES = "database.ready"
CONNECTIONS = "database.connections"
LOCKS = "database.locks"
VALKEY = "redis.ready"
DISK = "host.disk_sync"

JUDGED_BY = {
    "postgres": POSTGRES,
    "redis": VALKEY,
    # The gateway's port is nginx's.
    "nginx": "gateway.health",
    "wal-archive": "backup.archive",
    "prometheus": "services.targets",
    "node-exporter": "services.targets",
    "alertmanager": "alerts.active",
    **{row.name: f"{row.setting}.health" for row in inventory.SERVICES},
}
"""The check by the component's name."""

SERVING = (
    POSTGRES,
    CONNECTIONS,
    VALKEY,
    LOCKS,
    DISK,
    *(JUDGED_BY[row.name] for row in inventory.FORWARDED),
)
"""What answers to members stand on."""
