"""How a stored incident changes, within a transaction."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.visible import visible
from chitlaq.ops.database.database import Statement, Transaction, statement
from chitlaq.ops.incidents import timeline

Severity = Literal["P0", "P1", "P2", "P3"]
Status = Literal["open", "acknowledged", "resolved"]

CHITLAQ = "ChitLaq"
"""Who acts when no person does."""
ACKNOWLEDGED_FOR = {
    "P0": timedelta(hours=1), "P1": timedelta(hours=4),
    "P2": timedelta(hours=12), "P3": timedelta(hours=24),
}  # fmt: skip
"""After this an acknowledgement expires, and the clock of the escalation starts again."""


class IncidentChangedError(OperatorError):
    """Somebody else has changed the incident since."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """An incident as it is stored."""

    id: int
    severity: Severity
    status: Status
    title: str
    subject: str
    opened_at: datetime
    opened_by: str
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    acknowledged_until: datetime | None = None
    resolved_at: datetime | None = None
    resolved_by: str | None = None
    merged_into: int | None = None
    is_apart: bool = False
    resolves_itself: bool = False
    version: int = 1


def current(transaction: Transaction, number: int, version: int | None = None) -> State:
    """Return an incident as it is now.

    Args:
        version: what whoever acts has seen.

    Raises:
        OperatorError: there is none with this number.
        IncidentChangedError: it has another version.
    """
    rows = transaction.rows("stored_incident", number)
    if not rows:
        raise unknown(number)
    now = msgspec.convert(dict(rows[0]), State, strict=False)
    if version is not None and version != now.version:
        raise IncidentChangedError(
            f"Incident {number} has changed since you looked: it is {now.status}, {now.severity}"
            f" (version {now.version}, yours is {version}). Look again, then decide."
        )
    return now


def unknown(number: int) -> OperatorError:
    return OperatorError(f"There is no incident {number}: `chitlaq incidents` lists them.")


def require_unresolved(now: State) -> None:
    """Make sure that something can still be done about an incident.

    Raises:
        OperatorError: it is resolved, or part of another one.
    """
    if now.merged_into is not None:
        raise OperatorError(f"Incident {now.id} was merged into {now.merged_into}: use that one.")
    if now.status == "resolved":
        raise OperatorError(f"Incident {now.id} is resolved: reopen it first.")


def insert(
    transaction: Transaction,
    title: str,
    severity: Severity,
    subject: str,
    at: datetime,
    opened_by: str,
    *,
    resolves_itself: bool,
    is_apart: bool = False,
) -> int:
    """Store a new incident, and return its number."""
    (row,) = transaction.rows(
        "open_incident",
        title,
        severity,
        subject,
        at,
        visible(opened_by)[:200],
        int(resolves_itself),
        int(is_apart),
    )
    return int(row["id"])


def absorb(transaction: Transaction, target: int, source: State, at: datetime, by: str) -> None:
    """Make an incident part of another one, with its alerts."""
    over = msgspec.structs.replace(ended(source, at, by), merged_into=target)
    transaction.write(
        store(over),
        statement("move_alerts", source.id, target),
        statement("merge_again", source.id, target),
        timeline.add(source.id, "merged", by, f"into incident {target}", at=at),
        timeline.add(target, "merged", by, f"incident {source.id}: {source.title}", at=at),
    )


def ended(now: State, at: datetime, by: str) -> State:
    """Return an incident that is resolved; one that was already stays as it is."""
    if now.status == "resolved":
        return now
    # A clock that was set back must not make the end precede the beginning.
    return msgspec.structs.replace(
        now, status="resolved", resolved_at=max(at, now.opened_at), resolved_by=by
    )


def with_severity(now: State, severity: Severity, at: datetime) -> State:
    """Return an incident of another severity; what is worse is acknowledged for a shorter time."""
    until = now.acknowledged_until
    if until is not None:
        until = min(until, at + ACKNOWLEDGED_FOR[severity])
    return msgspec.structs.replace(now, severity=severity, acknowledged_until=until)


def open_again(now: State) -> State:
    """Return an incident that nobody takes care of."""
    return msgspec.structs.replace(
        now,
        status="open",
        resolved_at=None,
        resolved_by=None,
        acknowledged_at=None,
        acknowledged_by=None,
        acknowledged_until=None,
    )


def store(now: State, *, is_new_version: bool = True) -> Statement:
    """Return what stores a changed incident.

    Args:
        is_new_version: whether who decides by what they saw before must look again.
    """
    return statement(
        "change_incident",
        now.id,
        now.severity,
        now.status,
        now.title,
        now.subject,
        now.acknowledged_at,
        now.acknowledged_by,
        now.acknowledged_until,
        now.resolved_at,
        now.resolved_by,
        now.merged_into,
        int(now.is_apart),
        int(now.resolves_itself),
        int(is_new_version),
    )
