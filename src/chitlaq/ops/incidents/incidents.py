"""Incidents: something that a person must handle, from its opening to its end.

Each change is one transaction, with its line in the timeline. Who acts on what they saw names its version,
and is refused when somebody else was faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.formatting import count
from chitlaq.core.local_time import local
from chitlaq.core.visible import one_line
from chitlaq.ops.database.database import OpsDatabase, Statement, Transaction, statement
from chitlaq.ops.incidents import changes, timeline
from chitlaq.ops.incidents.changes import Severity, State, Status

MAX_ALERTS = 100
"""How many of an incident's alerts are listed."""


class IncidentAlert(msgspec.Struct, frozen=True):
    """An alert of an incident, with all its episodes in it; ``ended_at`` is null while it is firing."""

    fingerprint: str
    name: str
    severity: str
    summary: str
    labels: dict[str, str]
    started_at: datetime
    ended_at: datetime | None
    times: int


class Incident(State, frozen=True, kw_only=True):
    """An incident with its alerts, and when somebody else is told unless it is acknowledged.

    Args:
        alert_count: of different alerts; ``alerts`` has at most `MAX_ALERTS` of them, firing ones first.
    """

    escalation_level: int | None = None
    next_escalation_at: datetime | None = None
    alert_count: int = 0
    alerts: Sequence[IncidentAlert] = ()


async def listed(
    database: OpsDatabase, *, status: Status | None = None, limit: int
) -> list[Incident]:
    """Return incidents, those not resolved first, then the newest."""
    return await _with_alerts(database, "incidents", status, limit)


async def shown(database: OpsDatabase, number: int) -> Incident:
    """Return an incident.

    Raises:
        OperatorError: there is none with this number.
    """
    found = await _with_alerts(database, "incident", number)
    if not found:
        raise changes.unknown(number)
    return found[0]


async def _with_alerts(database: OpsDatabase, query: str, *args: object) -> list[Incident]:
    rows = await database.rows(query, *args)
    numbers = msgspec.json.encode([row["id"] for row in rows]).decode()
    alerts: dict[int, list[IncidentAlert]] = {}
    for one in map(dict, await database.rows("alerts_of_incidents", numbers, MAX_ALERTS)):
        number = one.pop("incident_id")
        labels = msgspec.json.decode(one["labels"])
        alerts.setdefault(number, []).append(
            msgspec.convert({**one, "labels": labels}, IncidentAlert)
        )
    return [
        msgspec.convert({**dict(row), "alerts": alerts.get(row["id"], [])}, Incident, strict=False)
        for row in rows
    ]


async def open_by_hand(
    database: OpsDatabase, title: str, severity: Severity, operator: str, *, subject: str = ""
) -> Incident:
    """Open an incident that no alert has opened.

    Args:
        subject: what it is about, so that alerts on the same thing join it: ``component:postgres``.

    Raises:
        OperatorError: there is no title.
    """
    title = timeline.title(title)
    if not title:
        raise OperatorError("Say in one sentence what is wrong: that is the incident's title.")

    def opened(transaction: Transaction) -> int:
        now = datetime.now(UTC)
        number = changes.insert(
            transaction,
            title,
            severity,
            one_line(subject)[:200],
            now,
            operator,
            resolves_itself=False,
        )
        transaction.write(timeline.add(number, "opened", operator, f"{severity}: {title}", at=now))
        return number

    return await shown(database, await database.transact(opened))


async def acknowledge(
    database: OpsDatabase,
    number: int,
    operator: str,
    version: int | None = None,
    *,
    takes_over: bool = False,
) -> Incident:
    """Say that one takes care of it: nobody else is called until this expires.

    Raises:
        OperatorError: it is resolved, or somebody else has it already.
    """

    def acknowledged(_: Transaction, now: State, at: datetime) -> tuple[State, Statement]:
        changes.require_unresolved(now)
        is_anothers = now.status == "acknowledged" and now.acknowledged_by != operator
        if is_anothers and not takes_over:
            until = now.acknowledged_until
            raise changes.IncidentChangedError(
                f"Incident {number} is already acknowledged by {now.acknowledged_by}"
                f" until {until and local(until):%H:%M}: add a note, or take it over."
            )
        until = at + changes.ACKNOWLEDGED_FOR[now.severity]
        text = f"until {local(until):%Y-%m-%d %H:%M}"
        if is_anothers:
            text += f", instead of {now.acknowledged_by}"
        return msgspec.structs.replace(
            now,
            status="acknowledged",
            acknowledged_at=at,
            acknowledged_by=operator,
            acknowledged_until=until,
        ), timeline.add(number, "acknowledged", operator, text, at=at)

    return await _changed(database, number, version, acknowledged)


async def resolve(
    database: OpsDatabase,
    number: int,
    operator: str,
    version: int | None = None,
    *,
    reason: str = "",
) -> Incident:
    """End an incident.

    Raises:
        OperatorError: it is resolved already, or its alerts fire and no reason is given.
    """

    def resolved(transaction: Transaction, now: State, at: datetime) -> tuple[State, Statement]:
        changes.require_unresolved(now)
        (row,) = transaction.rows("firing_of_incident", number)
        if row["firing"] and not reason.strip():
            raise OperatorError(
                f"{count(row['firing'], 'alert')} of incident {number} may still be firing, and nobody is"
                " told again: say why it is over nevertheless."
            )
        said = timeline.add(number, "resolved", operator, reason.strip(), at=at)
        return changes.ended(now, at, operator), said

    return await _changed(database, number, version, resolved)


async def reopen(
    database: OpsDatabase,
    number: int,
    operator: str,
    version: int | None = None,
    *,
    reason: str = "",
) -> Incident:
    """Open a resolved incident again.

    Raises:
        OperatorError: it is not resolved, or was merged into another.
    """

    def reopened(_: Transaction, now: State, at: datetime) -> tuple[State, Statement]:
        if now.status != "resolved":
            raise OperatorError(f"Incident {number} is not resolved: it is {now.status}.")
        if now.merged_into is not None:
            raise OperatorError(
                f"Incident {number} was merged into {now.merged_into}: reopen or split that one."
            )
        # A person says that it is not over, whatever the alerts say.
        opened = msgspec.structs.replace(changes.open_again(now), resolves_itself=False)
        return opened, timeline.add(number, "reopened", operator, reason.strip(), at=at)

    return await _changed(database, number, version, reopened)


async def change_severity(
    database: OpsDatabase,
    number: int,
    operator: str,
    version: int | None = None,
    *,
    severity: Severity,
    reason: str,
) -> Incident:
    """Raise or lower the severity.

    Raises:
        OperatorError: without a reason, or if it has this severity, or is resolved.
    """
    if not reason.strip():
        raise OperatorError("Say why the severity changes.")

    def changed(_: Transaction, now: State, at: datetime) -> tuple[State, Statement]:
        changes.require_unresolved(now)
        if now.severity == severity:
            raise OperatorError(f"Incident {number} is {severity} already.")
        text = f"{now.severity} → {severity}: {reason.strip()}"
        said = timeline.add(number, "severity", operator, text, at=at)
        return changes.with_severity(now, severity, at), said

    return await _changed(database, number, version, changed)


async def note(
    database: OpsDatabase,
    number: int,
    operator: str,
    version: int | None = None,
    *,
    text: str,
    kind: Literal["note", "helped", "hindered"] = "note",
) -> Incident:
    """Add an observation to the timeline, also of a resolved incident; it changes no version.

    Raises:
        OperatorError: it is empty or too long.
    """
    if not text.strip() or len(text) > timeline.MAX_CHARACTERS:
        raise OperatorError(f"Write between 1 and {timeline.MAX_CHARACTERS} characters.")

    def noted(transaction: Transaction) -> None:
        changes.current(transaction, number, version)
        transaction.write(timeline.add(number, kind, operator, text.strip()))

    await database.transact(noted)
    return await shown(database, number)


async def merge(
    database: OpsDatabase,
    number: int,
    operator: str,
    version: int | None = None,
    *,
    into: int,
) -> Incident:
    """Make an incident part of another one, with its alerts; return the other one.

    Raises:
        OperatorError: one of them is resolved, or both are the same.
    """
    if number == into:
        raise OperatorError("An incident cannot be merged into itself.")

    def merged(transaction: Transaction) -> None:
        at = datetime.now(UTC)
        source = changes.current(transaction, number, version)
        target = changes.current(transaction, into)
        changes.require_unresolved(source)
        changes.require_unresolved(target)
        together = msgspec.structs.replace(
            changes.with_severity(target, min(source.severity, target.severity), at),
            resolves_itself=source.resolves_itself and target.resolves_itself,
        )
        transaction.write(changes.store(together))
        changes.absorb(transaction, into, source, at, operator)

    await database.transact(merged)
    return await shown(database, into)


async def split(
    database: OpsDatabase,
    number: int,
    operator: str,
    version: int | None = None,
    *,
    alerts: Sequence[str],
    title: str = "",
) -> Incident:
    """Move alerts into an incident of their own, and return that one.

    Args:
        alerts: names or fingerprints.

    Raises:
        OperatorError: none of its alerts has such a name, or nothing would be left of it.
    """
    if not alerts:
        raise OperatorError("Name the alerts that have another cause.")

    def done(transaction: Transaction) -> int:
        at = datetime.now(UTC)
        now = changes.current(transaction, number, version)
        changes.require_unresolved(now)
        rows = transaction.rows("alerts_of_incident", number)
        chosen = [row for row in rows if {row["name"], row["fingerprint"]} & set(alerts)]
        known = {word for row in chosen for word in (row["name"], row["fingerprint"])}
        if unknown := sorted(set(alerts) - known):
            names = ", ".join(sorted({row["name"] for row in rows})[:MAX_ALERTS]) or "none"
            raise OperatorError(
                f"Incident {number} has no alert {', '.join(unknown)}; its alerts are: {names}."
            )
        if len(chosen) == len(rows):
            raise OperatorError(
                f"These are all alerts of incident {number}: nothing would be left."
            )
        lead = chosen[0]
        named = timeline.title(title or lead["summary"] or lead["name"])
        made = changes.insert(
            transaction,
            named,
            lead["severity"],
            now.subject,
            at,
            operator,
            resolves_itself=now.resolves_itself,
            is_apart=True,
        )
        fingerprints = msgspec.json.encode([row["fingerprint"] for row in chosen]).decode()
        transaction.write(
            changes.store(msgspec.structs.replace(now, is_apart=True)),
            statement("move_some_alerts", number, made, fingerprints),
            timeline.add(number, "split", operator, f"into incident {made}: {named}", at=at),
            timeline.add(made, "opened", operator, f"split from incident {number}", at=at),
        )
        return made

    return await shown(database, await database.transact(done))


async def _changed(
    database: OpsDatabase,
    number: int,
    version: int | None,
    change: Callable[[Transaction, State, datetime], tuple[State, Statement]],
) -> Incident:
    """Change an incident that is as whoever acts has seen it, with a line in its timeline."""

    def done(transaction: Transaction) -> None:
        now = changes.current(transaction, number, version)
        changed, said = change(transaction, now, datetime.now(UTC))
        transaction.write(changes.store(changed), said)

    await database.transact(done)
    return await shown(database, number)
