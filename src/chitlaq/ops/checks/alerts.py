"""Prometheus's scrape targets, and alerts that are firing or resolved."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

import msgspec

from chitlaq.core.errors import NotYet, UnknownResult
from chitlaq.core.formatting import count, duration
from chitlaq.ops.checks import ended
from chitlaq.ops.checks.model import (
    CheckOutcome,
    Section,
    Table,
    Value,
    Verdict,
    check,
    outcome,
    worst,
)
from chitlaq.ops.checks.sources.judged_by import JUDGED_BY
from chitlaq.ops.checks.sources.prometheus import promql
from chitlaq.ops.checks.sources.system import SystemView


@check(
    "services.targets",
    "Scrape targets",
    section=Section.CHECKLIST,
    looks_at="`up` of every target",
    commands=(promql("up"),),
    remedy="For each target that is down: `chitlaq ps`, then its log.",
)
async def targets(system: SystemView) -> CheckOutcome:
    try:
        found = await system.prometheus.query(system.prometheus.lately("up"))
    except NotYet:
        raise
    except UnknownResult as error:
        raise UnknownResult(str(error), *await system.why_nothing_runs()) from None
    down = sorted(s.metric.get("job", "?") for s in found if s.number != 1)
    rows = [
        [s.metric.get("job", "?"), s.metric.get("instance", "?"), "up" if s.number == 1 else "down"]
        for s in found
    ]
    return outcome(
        f"down: {', '.join(down)}" if down else f"all {len(found)} are up",
        {"targets": Value(len(found)), "down": Value(len(down))},
        Table("targets", ["job", "address", "state"], rows),
        least=Verdict.WARNING if down else Verdict.OK,
        because=[JUDGED_BY.get(job, "") for job in down],
    )


class _Status(msgspec.Struct):
    state: str


class _ActiveAlert(msgspec.Struct, rename="camel"):
    """The fields that are read from an alert of Alertmanager's API, version 2."""

    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: str
    status: _Status


def _rank(alert: _ActiveAlert) -> str:
    return alert.labels.get("severity", "P9")


_JUDGED_BY = {
    "DatabaseDown": JUDGED_BY["postgres"],
    "CacheDown": JUDGED_BY["redis"],
    "EdgeDown": JUDGED_BY["nginx"],
    "LogNotReceived": JUDGED_BY["wal-archive"],
    "LocksWaiting": "database.locks",
}
"""The checks that see what an alert is about."""


def _judged_by(alert: _ActiveAlert) -> str:
    if alert.labels.get("alertname") in {"ServiceDown", "ServiceUnable"}:
        return JUDGED_BY.get(alert.labels.get("service", ""), "")
    return _JUDGED_BY.get(alert.labels.get("alertname", ""), "")


_SEVERE = {"P0": Verdict.CRITICAL, "P1": Verdict.CRITICAL, "P2": Verdict.WARNING}


@check(
    "alerts.active",
    "Active alerts",
    section=Section.INCIDENTS,
    looks_at="Alertmanager, API version 2",
    commands=(
        (
            "curl -s http://localhost:{port:alertmanager}/api/v2/alerts"
            " | jq '.[] | select(.status.state == \"active\")'"
        ),
        "chitlaq alerts --active",
    ),
    remedy="Follow the procedure of each alert: `chitlaq alerts --active`.",
)
async def active_alerts(system: SystemView) -> CheckOutcome:
    try:
        found = msgspec.json.decode(
            await system.alertmanager.get("/api/v2/alerts?active=true"), type=list[_ActiveAlert]
        )
    except NotYet:
        raise
    except UnknownResult as error:
        raise UnknownResult(str(error), *await system.why_nothing_runs()) from None
    except msgspec.DecodeError as error:
        raise UnknownResult(f"Alertmanager's answer cannot be decoded: {error}") from None
    # Watchdog always fires; if it does not, alerts are not delivered.
    alerts = [one for one in found if one.labels.get("alertname") != "Watchdog"]
    has_watchdog = len(alerts) < len(found)
    # Silenced and inhibited alerts are shown but not counted.
    active = [one for one in alerts if one.status.state != "suppressed"]
    rows = [
        [
            one.labels.get("severity", ""),
            one.labels.get("alertname", ""),
            one.annotations.get("summary", ""),
            one.annotations.get("procedure", ""),
            one.status.state,
        ]
        for one in sorted(alerts, key=_rank)
    ]
    if active:
        names = [one.labels.get("alertname", "?") for one in sorted(active, key=_rank)[:3]]
        said = f"{count(len(active), 'alert')}: {', '.join(names)}"
    else:
        said = "none"
    if not has_watchdog and not active and system.is_new(FIRST_SECONDS):
        raise NotYet("the first evaluation of alerts takes some minutes after the first start")
    if not has_watchdog:
        said += "; the watchdog does not fire, so new alerts do not reach Alertmanager"
    elif not active:
        said += ", and the watchdog confirms delivery"
    severe = worst(
        (
            Verdict.OK if has_watchdog else Verdict.WARNING,
            *(_SEVERE.get(one.labels.get("severity", ""), Verdict.OK) for one in active),
        )
    )
    return outcome(
        said,
        {"active": Value(len(active)), "suppressed": Value(len(alerts) - len(active))},
        Table("alerts", ["severity", "alert", "what", "procedure", "state"], rows),
        least=severe,
        because=[_judged_by(one) for one in active] if has_watchdog else (),
    )


FIRST_SECONDS = 600.0
FLAPPING = 5
SEVERE = ("P0", "P1")
SHOWN = 3


@check(
    "alerts.resolved",
    "Resolved alerts",
    section=Section.INCIDENTS,
    looks_at="the history of alerts, the last 24 hours",
    commands=("chitlaq alerts --resolved",),
    remedy="For an alert that flaps, fix the cause or change the threshold.",
)
async def resolved_alerts(system: SystemView) -> CheckOutcome:
    found = await system.recorded("alerts_ended_since", datetime.now(UTC) - timedelta(hours=24))
    rows = sorted(found, key=lambda row: (row["severity"], -row["times"]))
    total = sum(row["times"] for row in rows)
    said = f"{count(total, 'alert')} resolved within 24 hours"
    # What members felt first, then what only makes noise.
    severe = [row for row in rows if row["severity"] in SEVERE]
    if severe:
        said += ": " + ", ".join(map(_episode, severe[:SHOWN]))
    recently = datetime.now(UTC) - ended.SOON
    is_recent = any(datetime.fromisoformat(row["last_ended"]) > recently for row in severe)
    flapping = max(rows, key=lambda row: row["times"], default=None)
    most = flapping["times"] if flapping else 0
    if flapping and most >= FLAPPING:
        said += f"; {flapping['name']} flapped {most} times"
    return outcome(
        said,
        {"resolved": Value(total), "most_of_one": Value(most)},
        Table(
            "alerts",
            ["times", "severity", "alert", "longest", "last ended"],
            [
                [
                    str(row["times"]),
                    row["severity"],
                    row["name"],
                    duration(row["longest"]),
                    f"{datetime.fromisoformat(row['last_ended']).astimezone():%Y-%m-%d %H:%M}",
                ]
                for row in rows
            ],
        ),
        least=Verdict.WARNING if is_recent or most >= FLAPPING else Verdict.OK,
    )


def _episode(row: sqlite3.Row) -> str:
    """``P0 DatabaseDown, up to 9 min, ended at 14:02``."""
    ended = datetime.fromisoformat(row["last_ended"]).astimezone()
    return f"{row['severity']} {row['name']}, {_longest(row)}, ended at {ended:%H:%M}"


def _longest(row: sqlite3.Row) -> str:
    length = duration(row["longest"])
    return f"{row['times']} times up to {length}" if row["times"] > 1 else length
