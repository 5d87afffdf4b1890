"""The history of alerts: Alertmanager sends notifications and forgets resolved alerts; this keeps them.

Notifications may be stored late, twice and in any order: a resolved alert stays resolved, and of one alert
only the newest episode may be firing.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.core.visible import one_line
from chitlaq.monitoring import alertmanager
from chitlaq.monitoring.alerts import routing
from chitlaq.ops.database import overflow
from chitlaq.ops.database.database import (
    OpsDatabase,
    OpsDatabaseUnavailableError,
    Statement,
    moment,
    statement,
)

# In evaluations of Prometheus's rules: how often alerts are compared with Alertmanager, and for how long
# after its start an alert that it does not know yet is left alone.
COMPARED_EVERY = 4
GRACE = 20
MAX_LABELS = 32
"""Of an alert, beside those that it is known by."""
MAX_CHARACTERS = 500
MAX_WAITING = 20
MAX_TOGETHER = 1000
"""Alerts that are stored in one transaction."""
OPENING = ("P0", "P1", "P2")
"""The severities that open an incident."""
IDENTIFYING = ("alertname", "severity", "seen_through")

OWN = "own:"
"""How the fingerprints of alerts begin that ops-service raises itself: Alertmanager does not know them."""

WATCHDOG = "Watchdog"
"""The alert that always fires."""

log = logs.get("history")


class ReportedAlert(msgspec.Struct, frozen=True, rename="camel"):
    """An alert in the payload of Alertmanager's webhook (version 4).

    Raises:
        ValueError: no clock can have shown when it began.
    """

    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime
    fingerprint: str

    def __post_init__(self) -> None:
        # Years that have four digits in every time zone.
        if not 1970 < self.starts_at.year < 9999 or self.ends_at.year == 9999:
            raise ValueError("startsAt or endsAt is not a time of our era")


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

    Many are stored in parts, between which others can write, and are made in a thread: cutting labels takes a
    second for ten thousand.

    Raises:
        OSError: neither was possible; Alertmanager reports all of them again.
    """
    for first in range(0, len(report.alerts), MAX_TOGETHER):
        part = report.alerts[first : first + MAX_TOGETHER]
        await database.keep(*await asyncio.to_thread(statements, AlertmanagerPayload(part)))


async def store_together(
    database: OpsDatabase, reports: Sequence[AlertmanagerPayload]
) -> list[None]:
    """Store several notifications together."""
    together = AlertmanagerPayload([alert for report in reports for alert in report.alerts])
    await store(database, together)
    return [None] * len(reports)


def waiting(home: Home) -> list[str]:
    """Return lines on alerts that fire and wait in memory for room on the disk, the newest of them."""
    found: dict[object, str] = {}
    for path in overflow.waiting(home)[-MAX_WAITING:]:
        for name, args in overflow.read(path) or ():
            if name == "keep_alert":
                fingerprint, alert, severity, _, summary, *_, ended_at = args
                if severity in OPENING and ended_at is None:
                    found[fingerprint] = f"{severity} {alert}: {summary}"
                else:
                    found.pop(fingerprint, None)
    return list(found.values())[-MAX_WAITING:]


def statements(report: AlertmanagerPayload) -> tuple[Statement, ...]:
    """Return what stores a notification."""
    return tuple(one for alert in report.alerts for one in _kept(alert))


def _kept(alert: ReportedAlert) -> tuple[Statement, Statement]:
    ended = max(alert.starts_at, alert.ends_at) if alert.status == "resolved" else None
    labels, fingerprint = _bounded(alert.labels), _short(alert.fingerprint)
    return (
        statement(
            "keep_alert",
            fingerprint,
            labels.get("alertname", "unnamed"),
            labels.get("severity", "none"),
            msgspec.json.encode(labels).decode(),
            _short(alert.annotations.get("summary", "")),
            _short(alert.annotations.get("procedure", "")),
            alert.starts_at,
            ended,
        ),
        statement("end_earlier_episodes", fingerprint),
    )


def _bounded(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that an alert is known by, and some of the others."""
    known = [name for name in (*IDENTIFYING, *routing.SUBJECT) if name in labels]
    names = dict.fromkeys([*known, *islice(sorted(labels.keys() - set(known)), MAX_LABELS)])
    return {_short(name): _short(labels[name]) for name in names}


def _short(text: str) -> str:
    """Return what somebody else wrote on one line, with nothing hidden in it, and not too long.

    What is stored goes to terminals, mails, chats and pages, and is harmless in each of them.
    """
    return one_line(text[:MAX_CHARACTERS])[:MAX_CHARACTERS]


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
    here = await database.rows("firing_alerts", OWN)
    if not here:
        return 0
    there = await alertmanager.active_alerts(home, settings)
    started_at, now = there.started_at, datetime.now(UTC)
    if (now - there.since).total_seconds() < grace_seconds:
        return 0
    over = []
    for row in here:
        started = started_at.get(row["fingerprint"])
        if started is None or moment(started) > row["started_at"]:
            over.append(
                statement("end_alert", row["fingerprint"], row["started_at"], started or now)
            )
    await database.write(*over)
    return len(over)


async def compare_forever(database: OpsDatabase, home: Home, settings: Settings) -> None:
    """Compare with Alertmanager periodically, if there is one."""
    if not has_alertmanager(settings):
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
    return _records(await database.rows("alerts", is_active, limit))


def has_alertmanager(settings: Settings) -> bool:
    return bool(settings.alertmanager_url or settings.embeds("alertmanager"))


async def firing(
    database: OpsDatabase, home: Home, settings: Settings, limit: int
) -> tuple[list[AlertRecord], str]:
    """Return the alerts that fire now, newest first, and why there may be others.

    Alertmanager knows them before ops-service is told, and when it is not told. What ops-service raises
    itself, Alertmanager does not know. If one of the two cannot be asked, the other is all that is known.

    Raises:
        OpsDatabaseUnavailableError: neither can be asked.
    """
    if not has_alertmanager(settings):
        return await alerts(database, is_active=True, limit=limit), ""
    try:
        there = await alertmanager.active_alerts(home, settings)
    except (OperatorError, OSError, msgspec.MsgspecError) as error:
        return (
            await alerts(database, is_active=True, limit=limit),
            f"Alertmanager does not answer ({error}): these are from ops-service's history.",
        )
    cautions, own = [], []
    try:
        own = _records(await database.rows("own_alerts", OWN, limit))
    except OpsDatabaseUnavailableError as error:
        cautions.append(f"{error} Alerts that ops-service raises itself are not shown.")
    active = [one for one in there.alerts if one.status.state != "suppressed"]
    found = [_record(one) for one in active if one.labels.get("alertname") != WATCHDOG]
    if len(found) == len(active):
        cautions.append(
            "The Watchdog, which always fires, does not: alerts do not get from Prometheus to"
            " Alertmanager. See `chitlaq ps`."
        )
    return sorted(found + own, key=lambda one: one.started_at, reverse=True)[:limit], " ".join(
        cautions
    )


def _records(rows: Sequence[sqlite3.Row]) -> list[AlertRecord]:
    return [
        msgspec.convert({**row, "labels": msgspec.json.decode(row["labels"])}, AlertRecord)
        for row in map(dict, rows)
    ]


def _record(alert: alertmanager.ActiveAlert) -> AlertRecord:
    return AlertRecord(
        name=alert.labels.get("alertname", ""),
        severity=alert.labels.get("severity", ""),
        summary=one_line(alert.annotations.get("summary", "")),
        procedure=one_line(alert.annotations.get("procedure", "")),
        labels=alert.labels,
        started_at=alert.starts_at,
        ended_at=None,
    )
