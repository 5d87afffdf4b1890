"""What members are told of incidents: updates that a person publishes, in English and Turkish.

A published incident has the number of the operators' incident and words of its own: what operators and
alerts call it may name what members need not know.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

import msgspec

from chitlaq import inventory
from chitlaq.core import ids
from chitlaq.core.errors import OperatorError
from chitlaq.core.visible import one_line
from chitlaq.ops.database.database import OpsDatabase, Transaction, statement
from chitlaq.ops.incidents import incidents, timeline
from chitlaq.ops.incidents.incidents import Incident
from chitlaq.ops.statuspage import current, told
from chitlaq.ops.statuspage.components import COMPONENTS, FAULTS, about, selected
from chitlaq.web.console.status.words import words

Impact = Literal["none", "minor", "major", "critical"]
IMPACTS: dict[str, Impact] = {"P0": "critical", "P1": "major", "P2": "minor", "P3": "none"}


class UpdateStatus(StrEnum):
    """Statuspage's words, in the order of an incident's life."""

    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"
    MONITORING = "monitoring"
    RESOLVED = "resolved"


def status_of(word: str) -> UpdateStatus:
    """Read a status.

    Raises:
        OperatorError: it is none.
    """
    try:
        return UpdateStatus(word)
    except ValueError:
        raise OperatorError(
            f"There is no status {word}; there are {', '.join(UpdateStatus)}."
        ) from None


class Update(msgspec.Struct, frozen=True):
    id: UUID
    status: UpdateStatus
    text: str
    text_tr: str
    published_at: datetime

    def text_in(self, language: str) -> str:
        return self.text_tr if language == "tr" else self.text


class PublishedIncident(msgspec.Struct, frozen=True):
    """An incident as members see it; updates are newest first."""

    incident_id: int
    title: str
    title_tr: str
    impact: Impact
    components: list[str]
    status: UpdateStatus
    published_at: datetime
    updated_at: datetime
    updates: list[Update] = []

    @property
    def is_over(self) -> bool:
        return self.status is UpdateStatus.RESOLVED

    def title_in(self, language: str) -> str:
        return self.title_tr if language == "tr" else self.title


async def publish(
    database: OpsDatabase,
    number: int,
    status: UpdateStatus,
    operator: str,
    *,
    names: Sequence[str] = (),
    text: str = "",
    text_tr: str = "",
    title: str = "",
    title_tr: str = "",
    is_mailed: bool = True,
) -> PublishedIncident:
    """Tell members and subscribers about an incident, and return it as they see it.

    The sentence of the status comes first, then the operator's own text. What is not given in Turkish is
    shown as it is. Mails wait in the same transaction; whoever calls this rewrites the page.

    Args:
        number: of the operators' incident.
        names: the components; by default those published before, else those that it is about, else those
            that do not work now.
        is_mailed: whether subscribers get a mail of it.

    Raises:
        OperatorError: there is no such incident, nothing says which components, the words are not valid,
            or nothing can be stored.
    """
    incident = await incidents.shown(database, number)
    affected = selected(names) or await _affected(database, incident)
    own, own_tr = told.body(text), told.body(text_tr or text)
    titles = (told.title(title), told.title(title_tr or title)) if title else None

    def published(transaction: Transaction) -> None:
        before = _before(transaction, number)
        _require_next(number, before, status)
        chosen = selected(names) or (before.components if before else affected)
        if not chosen:
            raise OperatorError(
                f"Nothing says what incident {number} means to members: choose what they notice:"
                f" {', '.join(COMPONENTS)}, or `all` (on the command line, `--component feed`)."
            )
        now, update = datetime.now(UTC), ids.new()
        transaction.write(
            statement(
                "publish_incident",
                number,
                *(titles or _titles(before, chosen)),
                IMPACTS[incident.severity],
                msgspec.json.encode(chosen).decode(),
                status,
                now,
            ),
            statement(
                "publish_update",
                update,
                number,
                status,
                _text("en", status, chosen, own),
                _text("tr", status, chosen, own_tr),
                now,
                one_line(operator),
            ),
            *([statement("queue_subscriber_mails", update, number)] if is_mailed else []),
            timeline.add(number, "message", operator, f"published to members: {status}", at=now),
        )

    await database.transact(published)
    (done,) = await _with_updates(database, "published_incident", number)
    return done


async def listed(database: OpsDatabase, since: datetime) -> list[PublishedIncident]:
    """Return what was published and is not over, or was updated since a moment; the newest first.

    Raises:
        OpsDatabaseUnavailableError: it cannot be read.
    """
    return await _with_updates(database, "published_incidents", since)


async def _with_updates(
    database: OpsDatabase, query: str, *args: object
) -> list[PublishedIncident]:
    rows = await database.rows(query, *args)
    numbers = msgspec.json.encode([row["incident_id"] for row in rows]).decode()
    updates = defaultdict[int, list[Update]](list)
    for row in map(dict, await database.rows("published_updates", numbers)):
        updates[row.pop("incident_id")].append(msgspec.convert(row, Update, strict=False))
    return [
        msgspec.structs.replace(_read(row), updates=updates[row["incident_id"]]) for row in rows
    ]


def _before(transaction: Transaction, number: int) -> PublishedIncident | None:
    rows = transaction.rows("published_incident", number)
    return _read(rows[0]) if rows else None


def _read(row: sqlite3.Row) -> PublishedIncident:
    components = msgspec.json.decode(row["components"])
    return msgspec.convert({**dict(row), "components": components}, PublishedIncident)


def _require_next(number: int, before: PublishedIncident | None, status: UpdateStatus) -> None:
    if before is None and status is UpdateStatus.RESOLVED:
        raise OperatorError(
            f"Members were never told of incident {number}, so they need not hear that it is over."
        )
    if before is not None and before.is_over and status is not UpdateStatus.INVESTIGATING:
        raise OperatorError(
            f"Members were told that incident {number} is over: publish `investigating` if it is back."
        )


async def _affected(database: OpsDatabase, incident: Incident) -> list[str]:
    subject = incident.subject.partition(":")[2]
    if subject in {row.name for row in inventory.SERVERS}:
        return list(COMPONENTS)
    named = {name for one in incident.alerts for name in about(one.labels)}
    named.update(about({"service": subject}))
    if not named:
        shown = await current.components(database)
        named = {one.id for one in shown if one.state in FAULTS}
    return selected(named)


def _titles(before: PublishedIncident | None, chosen: Sequence[str]) -> tuple[str, str]:
    """Return the titles: those that an operator gave stay, others name the components."""
    if before is not None and before.title != _title("en", before.components):
        return before.title, before.title_tr
    return _title("en", chosen), _title("tr", chosen)


def _title(language: str, names: Sequence[str]) -> str:
    spoken = words(language)
    return spoken("incident", components=spoken.components(names))


def _text(language: str, status: UpdateStatus, names: Sequence[str], own: str) -> str:
    spoken = words(language)
    sentence = spoken(f"update.{status}", components=spoken.components(names))
    return f"{sentence}\n\n{own}" if own else sentence
