"""Alerts that ops-service raises itself, by the way that Alertmanager's take: stored, then joined."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.history import alert_history
from chitlaq.ops.history.alert_history import OWN, AlertmanagerPayload, ReportedAlert


class OwnAlert(msgspec.Struct, frozen=True):
    """What an alert of our own says; its key tells it from the others."""

    key: str
    name: str
    severity: str
    summary: str
    procedure: str
    labels: Mapping[str, str]


async def report(
    database: OpsDatabase, alert: OwnAlert, started_at: datetime, ended_at: datetime | None = None
) -> None:
    """Store that it fires, or that it has ended; repeating it changes nothing.

    Raises:
        OSError: it can be kept nowhere.
    """
    reported = ReportedAlert(
        status="resolved" if ended_at else "firing",
        labels={"alertname": alert.name, "severity": alert.severity, **alert.labels},
        annotations={"summary": alert.summary, "procedure": alert.procedure},
        starts_at=started_at,
        ends_at=ended_at or datetime.min.replace(tzinfo=UTC),
        fingerprint=f"{OWN}{alert.key}",
    )
    await alert_history.store(database, AlertmanagerPayload([reported]))


async def firing(database: OpsDatabase) -> Mapping[str, datetime]:
    """Return since when each alert of our own fires, by its key."""
    rows = await database.rows("own_firing_alerts", OWN)
    return {
        row["fingerprint"].removeprefix(OWN): datetime.fromisoformat(row["started_at"])
        for row in rows
    }
