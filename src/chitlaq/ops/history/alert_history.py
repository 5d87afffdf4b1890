"""The history of alerts: Alertmanager sends notifications and forgets resolved alerts; this keeps them.

Notifications may be stored late, twice and in any order: a resolved alert stays resolved, and of one alert
only the newest episode may be firing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.monitoring import alertmanager
from chitlaq.ops.database.database import (
    OpsDatabase,
    Statement,
    moment,
    statement,
)

# In evaluations of Prometheus's rules: how often alerts are compared with Alertmanager, and for how long
# after its start an alert that it does not know yet is left alone.
COMPARED_EVERY = 4
GRACE = 20

log = logs.get("history")


class ReportedAlert(msgspec.Struct, frozen=True, rename="camel"):
    """An alert in the payload of Alertmanager's webhook (version 4)."""

    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime
    fingerprint: str


class AlertmanagerPayload(msgspec.Struct, frozen=True):
    alerts: list[ReportedAlert]


class AlertRecord(msgspec.Struct, frozen=True):
    """One episode of an alert; ``ended_at`` is null while it is firing."""

    name: str
    severity: str
    summary: str
    procedure: str
    labels: dict[str, str]
    started_at: datetime
    ended_at: datetime | None


async def store(database: OpsDatabase, report: AlertmanagerPayload) -> None:
    """Store all alerts of a notification, or keep them in memory until the disk has room.

    Raises:
        OSError: neither was possible.
    """
    await database.keep(*statements(report))


async def store_together(
    database: OpsDatabase, reports: Sequence[AlertmanagerPayload]
) -> list[None]:
    """Store several notifications in one transaction."""
    together = AlertmanagerPayload([alert for report in reports for alert in report.alerts])
    await store(database, together)
    return [None] * len(reports)


def statements(report: AlertmanagerPayload) -> tuple[Statement, ...]:
    """Return what stores a notification."""
    return tuple(one for alert in report.alerts for one in _kept(alert))


def _kept(alert: ReportedAlert) -> tuple[Statement, Statement]:
    ended = max(alert.starts_at, alert.ends_at) if alert.status == "resolved" else None
    return (
        statement(
            "keep_alert",
            alert.fingerprint,
            alert.labels.get("alertname", "unnamed"),
            alert.labels.get("severity", "none"),
            msgspec.json.encode(alert.labels).decode(),
            alert.annotations.get("summary", ""),
            alert.annotations.get("procedure", ""),
            alert.starts_at,
            ended,
        ),
        statement("end_earlier_episodes", alert.fingerprint),
    )


async def compare(
    database: OpsDatabase, home: Home, settings: Settings, grace_seconds: float
) -> int:
    """End alerts that are firing here but not in Alertmanager, and return how many.

    Alertmanager drops an alert that ends while it is inhibited, without a notification.

    Args:
        grace_seconds: how long Alertmanager must have been running. It forgets everything when it
            stops, and learns again what is firing.

    Raises:
        OpsDatabaseUnavailableError: the history cannot be read or written.
        OSError, msgspec.MsgspecError: Alertmanager is unavailable, or gives an unexpected answer.
    """
    # Read ours first, so that an alert that starts in between is not taken for resolved.
    here = await database.rows("firing_alerts")
    if not here:
        return 0
    there = await alertmanager.active_alerts(home, settings)
    now = datetime.now(UTC)
    if (now - there.since).total_seconds() < grace_seconds:
        return 0
    over = []
    for row in here:
        started = there.started_at.get(row["fingerprint"])
        if started is None or moment(started) > row["started_at"]:
            over.append(
                statement("end_alert", row["fingerprint"], row["started_at"], started or now)
            )
    await database.write(*over)
    return len(over)


async def compare_forever(database: OpsDatabase, home: Home, settings: Settings) -> None:
    """Compare with Alertmanager periodically, if there is one."""
    if not (settings.alertmanager_url or settings.embeds("alertmanager")):
        return
    evaluation = settings.monitoring.scrape_seconds
    while True:
        await asyncio.sleep(COMPARED_EVERY * evaluation)
        try:
            if ended := await compare(database, home, settings, GRACE * evaluation):
                log.info("alerts ended without a notification", alerts=ended)
        except (OperatorError, OSError, msgspec.MsgspecError) as error:
            # Without an answer, nothing is ended. Both programs have alerts of their own.
            log.warning("alerts not compared with Alertmanager", error=str(error))


async def alerts(database: OpsDatabase, *, is_active: bool | None, limit: int) -> list[AlertRecord]:
    """Return alerts, firing ones first: all of them, or only the firing or the resolved ones."""
    return [
        msgspec.convert({**row, "labels": msgspec.json.decode(row["labels"])}, AlertRecord)
        for row in map(dict, await database.rows("alerts", is_active, limit))
    ]
