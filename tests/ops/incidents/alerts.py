"""Alerts as Alertmanager reports them, and what has become of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from chitlaq.monitoring.alerts import registry
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.history import alert_history
from chitlaq.ops.history.alert_history import AlertmanagerPayload, ReportedAlert
from chitlaq.ops.incidents import incidents, keeping

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
NEVER = datetime(1, 1, 1, tzinfo=UTC)
DECLARED = {one.name: one for one in registry.alerts()}


def alert(
    name: str, *, at: float = 0, until: float | None = None, severity: str = "", **labels: str
) -> ReportedAlert:
    """An alert that began some seconds after `NOW`; a declared one has its declared labels."""
    declared = {}
    if name in DECLARED:
        fired = next(case.expected[0] for case in DECLARED[name].cases if case.expected)
        declared = DECLARED[name].firing_labels(fired)
    own = {"severity": severity} if severity else {}
    found = {"alertname": name, **declared, **own, **labels}
    return ReportedAlert(
        "firing" if until is None else "resolved",
        found,
        {"summary": f"{name} is bad.", "procedure": "Alert Response"},
        NOW + timedelta(seconds=at),
        NEVER if until is None else NOW + timedelta(seconds=until),
        "-".join(f"{key}={value}" for key, value in sorted(found.items())),
    )


async def report(
    database: OpsDatabase, *alerts: ReportedAlert, at: float = 60
) -> list[incidents.Incident]:
    """Report alerts, let them join some seconds after `NOW`, and return all incidents."""
    await alert_history.store(database, AlertmanagerPayload(list(alerts)))
    await keeping.keep(database, lambda _: NOW + timedelta(seconds=at))
    return await incidents.listed(database, limit=100)


def names(found: Iterable[incidents.Incident]) -> list[set[str]]:
    return [{alert.name for alert in one.alerts} for one in found]


async def later(database: OpsDatabase, at: float | datetime) -> None:
    """Let time pass until some seconds after `NOW`, or until a moment."""
    now = at if isinstance(at, datetime) else NOW + timedelta(seconds=at)
    await keeping.keep(database, lambda _: now)
