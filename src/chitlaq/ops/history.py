"""The alerts that fired: Alertmanager reports them, and forgets what is over; here they stay."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from chitlaq.core.postgres import Database, Session


class ReportedAlert(msgspec.Struct, frozen=True, rename="camel"):
    """An alert as Alertmanager's webhook sends it (version 4)."""

    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime
    fingerprint: str


class Report(msgspec.Struct, frozen=True):
    alerts: list[ReportedAlert]


class Alert(msgspec.Struct, frozen=True):
    """An alert's whole life; ``ended_at`` is null while it goes on."""

    name: str
    severity: str
    summary: str
    procedure: str
    labels: dict[str, str]
    started_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, row: Any) -> Alert:
        return cls(
            row["name"],
            row["severity"],
            row["summary"],
            row["procedure"],
            msgspec.json.decode(row["labels"], type=dict[str, str]),
            row["started_at"],
            row["ended_at"],
        )


async def keep(database: Database, report: Report) -> None:
    """Keep all alerts of a report, or none.

    Raises:
        PostgresUnavailableError: nothing was kept; Alertmanager reports again.
    """
    async with database.transaction() as session:
        for alert in report.alerts:
            await _keep(session, alert)


async def _keep(session: Session, alert: ReportedAlert) -> None:
    started = alert.starts_at.astimezone(UTC)
    ended = max(started, alert.ends_at.astimezone(UTC)) if alert.status == "resolved" else None
    await session.execute(
        "keep_alert",
        alert.fingerprint,
        alert.labels.get("alertname", "unnamed"),
        alert.labels.get("severity", "none"),
        msgspec.json.encode(alert.labels).decode(),
        alert.annotations.get("summary", ""),
        alert.annotations.get("procedure", ""),
        started,
        ended,
    )


async def alerts(database: Database, *, is_active: bool | None, limit: int) -> list[Alert]:
    """Return alerts, those that go on first; all, or only the active or the resolved ones."""
    return [Alert.of(row) for row in await database.rows("alerts", is_active, limit)]
