"""Announced work: shown in advance, silences what it explains, and opens no incident.

What it explains it explains for some minutes longer, in which alerts end that it has caused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.local_time import local
from chitlaq.core.visible import one_line
from chitlaq.ops.actions import record, silences
from chitlaq.ops.database.database import OpsDatabase, Transaction
from chitlaq.ops.statuspage import told
from chitlaq.ops.statuspage.components import (
    AT_EDGE,
    COMPONENTS,
    EDGE,
    EVERYWHERE,
    about,
    selected,
)

ENDING = timedelta(minutes=5)
"""How long after the work its alerts may still take to end."""


class Maintenance(msgspec.Struct, frozen=True):
    """Work on components from one moment to another; ``ended_at`` if it was ended or withdrawn before."""

    id: int
    title: str
    title_tr: str
    text: str
    text_tr: str
    components: list[str]
    starts_at: datetime
    ends_at: datetime
    ended_at: datetime | None
    made_at: datetime
    made_by: str

    @property
    def over_at(self) -> datetime:
        return self.ended_at or self.ends_at

    @property
    def is_withdrawn(self) -> bool:
        """Whether it was ended before it began."""
        return self.over_at <= self.starts_at

    def is_on(self, at: datetime) -> bool:
        return self.starts_at <= at < self.over_at

    def covers(self, at: datetime) -> bool:
        """Whether the work is the reason for what alerts say at a moment."""
        return not self.is_withdrawn and self.starts_at <= at < self.over_at + ENDING

    def status(self, at: datetime) -> str:
        """Statuspage's word: ``scheduled``, ``in_progress`` or ``completed``."""
        if self.is_on(at):
            return "in_progress"
        return "scheduled" if at < self.starts_at and not self.is_withdrawn else "completed"

    def explains(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert with these labels is expected: all that it is about is worked on."""
        subject = about(labels)
        return bool(subject) and set(subject) <= set(self.components)


async def add(
    database: OpsDatabase,
    names: Sequence[str],
    starts_at: datetime,
    ends_at: datetime,
    title: str,
    operator: str,
    *,
    title_tr: str = "",
    text: str = "",
    text_tr: str = "",
) -> Maintenance:
    """Announce work on components.

    Raises:
        OperatorError: the times, the components or the words are not valid, or it cannot be stored.
    """
    chosen, now = selected(names), datetime.now(UTC)
    if not chosen:
        raise OperatorError(f"Say on what: one or more of {', '.join(COMPONENTS)}, or `all`.")
    if not starts_at < ends_at or ends_at <= now:
        raise OperatorError(
            f"Maintenance ends after it begins, and in the future: {_local(starts_at)} to"
            f" {_local(ends_at)} does not."
        )
    if ends_at - max(starts_at, now) > silences.LONGEST:
        raise OperatorError(
            f"Maintenance lasts at most {silences.LONGEST.days} days: it silences what goes wrong."
        )
    title = told.title(title)
    stored = (
        title,
        told.title(title_tr or title),
        told.body(text),
        told.body(text_tr or text),
        msgspec.json.encode(chosen).decode(),
        starts_at,
        ends_at,
        now,
        one_line(operator),
    )
    until = f"from {_local(starts_at)} until {_local(ends_at)}: {title}"

    def added(transaction: Transaction) -> int:
        (row,) = transaction.rows("add_maintenance", *stored)
        transaction.write(
            record.done("status maintenance add", " ".join(chosen), operator, output=until)
        )
        return int(row["id"])

    return await shown(database, await database.transact(added))


async def listed(database: OpsDatabase, ends_after: datetime) -> list[Maintenance]:
    """Return the work that ends after a moment, the next first.

    Raises:
        OpsDatabaseUnavailableError: it cannot be read.
    """
    return _read(await database.rows("maintenances", ends_after))


async def to_tell(database: OpsDatabase, now: datetime) -> list[Maintenance]:
    """Return the work that subscribers have not been told of, or not of its end.

    Raises:
        OpsDatabaseUnavailableError: it cannot be read.
    """
    return _read(await database.rows("maintenances_to_tell", now))


async def shown(database: OpsDatabase, number: int) -> Maintenance:
    """Return one announcement.

    Raises:
        OperatorError: there is none with this number, or it cannot be read.
    """
    found = _read(await database.rows("maintenance", number))
    if not found:
        raise OperatorError(
            f"There is no maintenance {number}: `chitlaq status maintenance list` shows all."
        )
    return found[0]


async def end(database: OpsDatabase, number: int, operator: str) -> Maintenance:
    """End work early, or withdraw it before it begins.

    Raises:
        OperatorError: there is no such work, or it is over.
    """

    def ended(transaction: Transaction) -> bool:
        rows = transaction.rows("end_maintenance", number, datetime.now(UTC))
        for row in rows:
            done = record.done("status maintenance end", str(number), operator, output=row["title"])
            transaction.write(done)
        return bool(rows)

    was_on = await database.transact(ended)
    found = await shown(database, number)
    if not was_on:
        raise OperatorError(f"Maintenance {number} ended at {_local(found.over_at)}.")
    return found


def is_explained(works: Iterable[Maintenance], labels: Mapping[str, str], until: datetime) -> bool:
    """Whether announced work explains an alert, so that nobody is called for it.

    Args:
        works: that which `covering` has given, or more.
        until: when the alert ended, or now.
    """
    return any(one.covers(until) and one.explains(labels) for one in works)


def covering(transaction: Transaction, since: datetime) -> list[Maintenance]:
    """Return the work that may explain what alerts have said since a moment."""
    return _read(transaction.rows("maintenances", since - ENDING))


def silenced(names: Iterable[str]) -> list[str]:
    """Return what work on these components silences, as targets of the action ``silence``.

    What `Maintenance.explains` says of one alert, this says of all: a silence's conditions must all hold,
    so there are several.
    """
    chosen = set(names)
    # mail and sign-in share a service: its alerts are explained when both are worked on.
    services = [
        service
        for service in sorted({one for each in COMPONENTS.values() for one in each.services})
        if {one.id for one in COMPONENTS.values() if service in one.services} <= chosen
    ]
    alerts = sorted({alert for name in chosen for alert in COMPONENTS[name].alerts})
    if chosen == set(COMPONENTS):
        services += EDGE
        alerts += [*EVERYWHERE, *AT_EDGE]
    return [
        f"{label}=~{'|'.join(values)}"
        for label, values in (("service", services), ("alertname", alerts))
        if values
    ]


def _read(rows: Iterable[sqlite3.Row]) -> list[Maintenance]:
    return [
        msgspec.convert(
            {**dict(row), "components": msgspec.json.decode(row["components"])}, Maintenance
        )
        for row in rows
    ]


def _local(at: datetime) -> str:
    return f"{local(at):%Y-%m-%d %H:%M}"
