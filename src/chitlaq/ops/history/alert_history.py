"""The alerts that fired: Alertmanager reports them, and forgets what is over; here they stay.

A report that meets a PostgreSQL that is away waits in a file: Alertmanager tries for a minute and then
gives up, and the alert that PostgreSQL is down is the one that nobody wants to miss. Reports may be kept
late and in any order: an end stays an end, and of one alert only the newest time may go on.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from chitlaq.core import ids
from chitlaq.core.data.postgres import Database, PostgresUnavailableError, Session
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.monitoring import alertmanager
from chitlaq.ops.history import outbox

KIND = "alerts"
# How soon what waits is tried again.
RETRY_SECONDS = 5.0
# Of evaluations of Prometheus's rules: how often Alertmanager is asked what goes on, and how long after
# its start what it does not know of yet counts.
COMPARED_EVERY = 4
GRACE = 20

log = logs.get("history")


class ReportedAlert(msgspec.Struct, frozen=True, rename="camel"):
    """An alert as Alertmanager's webhook sends it (version 4)."""

    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime
    fingerprint: str


class AlertmanagerPayload(msgspec.Struct, frozen=True):
    alerts: list[ReportedAlert]


class AlertRecord(msgspec.Struct, frozen=True):
    """An alert's whole life; ``ended_at`` is null while it goes on."""

    name: str
    severity: str
    summary: str
    procedure: str
    labels: dict[str, str]
    started_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, row: Any) -> AlertRecord:
        return cls(
            row["name"],
            row["severity"],
            row["summary"],
            row["procedure"],
            msgspec.json.decode(row["labels"], type=dict[str, str]),
            row["started_at"],
            row["ended_at"],
        )


async def store_or_enqueue(database: Database, home: Home, report: AlertmanagerPayload) -> None:
    """Keep all alerts of a report: in PostgreSQL, or in a file until it is back.

    Raises:
        OSError: nothing was kept, neither there nor here.
    """
    try:
        await store(database, report)
    except PostgresUnavailableError as error:
        await asyncio.to_thread(outbox.enqueue, home, KIND, str(ids.new()), report)
        log.warning("report waits for PostgreSQL", alerts=len(report.alerts), error=str(error))


async def store(database: Database, report: AlertmanagerPayload) -> None:
    """Keep all alerts of a report in PostgreSQL, or none.

    Raises:
        PostgresUnavailableError: nothing was kept.
    """
    async with database.transaction() as session:
        for alert in report.alerts:
            await _keep(session, alert)


async def store_queued(database: Database, home: Home) -> int:
    """Keep the reports that wait, oldest first; returns how many.

    Raises:
        PostgresUnavailableError: it is still away; what is left goes on waiting.
    """
    return await outbox.store(home, KIND, AlertmanagerPayload, partial(store, database))


async def store_queued_forever(database: Database, home: Home) -> None:
    """Keep what waits as soon as PostgreSQL is back."""
    while True:
        try:
            if stored := await store_queued(database, home):
                log.info("waiting reports were kept", reports=stored)
        except PostgresUnavailableError:
            pass  # it is tried again
        await asyncio.sleep(RETRY_SECONDS)


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
    await session.execute("end_earlier_times", alert.fingerprint)


async def compare(database: Database, settings: Settings, grace_seconds: float) -> int:
    """End what goes on here and is over in Alertmanager; returns how many alerts.

    An alert that ends while a graver one of its family holds it back is dropped without a report.

    Args:
        grace_seconds: how long Alertmanager must have run. It forgets everything when it stops, and
            hears anew of what fires.

    Raises:
        PostgresUnavailableError: PostgreSQL is away.
        OSError, msgspec.MsgspecError: Alertmanager is, or is none.
    """
    # First ours: what begins meanwhile is not missed there.
    here = await database.rows("alerts_going_on")
    if not here:
        return 0
    there = await asyncio.to_thread(alertmanager.active_alerts, settings)
    if (datetime.now(UTC) - there.since).total_seconds() < grace_seconds:
        return 0
    ended = 0
    async with database.transaction() as session:
        for row in here:
            started = there.started_at.get(row["fingerprint"])
            if started is None or started > row["started_at"]:
                ended += await session.execute(
                    "end_alert", row["fingerprint"], row["started_at"], started
                )
    return ended


async def compare_forever(database: Database, settings: Settings) -> None:
    """Compare with Alertmanager again and again, where there is one."""
    if not (settings.alertmanager_url or settings.embeds("alertmanager")):
        return
    evaluation = settings.monitoring.scrape_seconds
    while True:
        await asyncio.sleep(COMPARED_EVERY * evaluation)
        try:
            if ended := await compare(database, settings, GRACE * evaluation):
                log.info("alerts are over that nobody reported", alerts=ended)
        except (PostgresUnavailableError, OSError, msgspec.MsgspecError) as error:
            # Nothing is known, so nothing is over; both have alerts of their own.
            log.warning("alerts not compared with Alertmanager", error=str(error))


async def alerts(database: Database, *, is_active: bool | None, limit: int) -> list[AlertRecord]:
    """Return alerts, those that go on first; all, or only the active or the resolved ones."""
    return [AlertRecord.of(row) for row in await database.rows("alerts", is_active, limit)]
