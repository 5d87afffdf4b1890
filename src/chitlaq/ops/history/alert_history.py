"""The history of alerts: Alertmanager sends notifications and forgets resolved alerts; this keeps them.

While PostgreSQL is unavailable, a notification waits in the spool: Alertmanager retries for a minute and
gives up, and the alert that PostgreSQL is down must not be lost. Notifications may be stored late and in
any order: a resolved alert stays resolved, and of one alert only the newest episode may be firing.
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
from chitlaq.ops.history import spool

KIND = "alerts"
# How often the spool is tried.
RETRY_SECONDS = 5.0
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
    """Store the alerts of a notification in PostgreSQL, or put them into the spool.

    Raises:
        OSError: neither was possible.
    """
    try:
        await store(database, report)
    except PostgresUnavailableError as error:
        await asyncio.to_thread(spool.enqueue, home, KIND, str(ids.new()), report)
        log.warning(
            "notification queued until PostgreSQL is available",
            alerts=len(report.alerts),
            error=str(error),
        )


async def store(database: Database, report: AlertmanagerPayload) -> None:
    """Store all alerts of a notification in PostgreSQL, or none.

    Raises:
        PostgresUnavailableError: none was stored.
    """
    async with database.transaction() as session:
        for alert in report.alerts:
            await _keep(session, alert)


async def store_queued(database: Database, home: Home) -> int:
    """Store the notifications in the spool, oldest first, and return how many.

    Raises:
        PostgresUnavailableError: it is still unavailable; the remaining ones keep waiting.
    """
    return await spool.store(home, KIND, AlertmanagerPayload, partial(store, database))


async def store_queued_forever(database: Database, home: Home) -> None:
    """Store queued notifications as soon as PostgreSQL is available again."""
    while True:
        try:
            if stored := await store_queued(database, home):
                log.info("queued notifications stored", notifications=stored)
        except PostgresUnavailableError:
            pass  # try again later
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


async def compare(database: Database, home: Home, settings: Settings, grace_seconds: float) -> int:
    """End alerts that are firing here but not in Alertmanager, and return how many.

    Alertmanager drops an alert that ends while it is inhibited, without a notification.

    Args:
        grace_seconds: how long Alertmanager must have been running. It forgets everything when it
            stops, and learns again what is firing.

    Raises:
        PostgresUnavailableError: PostgreSQL is unavailable.
        OSError, msgspec.MsgspecError: Alertmanager is unavailable, or gives an unexpected answer.
    """
    # Read ours first, so that an alert that starts in between is not taken for resolved.
    here = await database.rows("alerts_going_on")
    if not here:
        return 0
    there = await alertmanager.active_alerts(home, settings)
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


async def compare_forever(database: Database, home: Home, settings: Settings) -> None:
    """Compare with Alertmanager periodically, if there is one."""
    if not (settings.alertmanager_url or settings.embeds("alertmanager")):
        return
    evaluation = settings.monitoring.scrape_seconds
    while True:
        await asyncio.sleep(COMPARED_EVERY * evaluation)
        try:
            if ended := await compare(database, home, settings, GRACE * evaluation):
                log.info("alerts ended without a notification", alerts=ended)
        except (PostgresUnavailableError, OSError, msgspec.MsgspecError) as error:
            # Without an answer, nothing is ended. Both programs have alerts of their own.
            log.warning("alerts not compared with Alertmanager", error=str(error))


async def alerts(database: Database, *, is_active: bool | None, limit: int) -> list[AlertRecord]:
    """Return alerts, firing ones first: all of them, or only the firing or the resolved ones."""
    return [AlertRecord.of(row) for row in await database.rows("alerts", is_active, limit)]
