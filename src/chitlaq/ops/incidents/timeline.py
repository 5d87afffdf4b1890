"""The timeline of an incident: what was done and said, and what else happened while it went on.

What is done to an incident is written, in the transaction that does it. Alerts, actions, runs and changes
of the system have tables of their own and are read from there, so no line can be missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

import msgspec

from chitlaq.core import ids
from chitlaq.core.visible import one_line, visible
from chitlaq.ops.database.database import OpsDatabase, Statement, statement

MAX_CHARACTERS = 5000
MAX_TITLE = 300

Kind = Literal[
    "opened", "acknowledged", "expired", "severity", "merged", "split", "resolved", "reopened",
    "message", "note", "helped", "hindered",
    "alert", "action", "run", "restart", "deploy",
]  # fmt: skip


class Entry(msgspec.Struct, frozen=True):
    """One line of a timeline; the actor is a person, or the part of ChitLaq that did it."""

    at: datetime
    kind: Kind
    actor: str
    text: str


def add(
    number: int, kind: Kind, actor: str, text: str, *, at: datetime | None = None, key: str = ""
) -> Statement:
    """Return what adds a line.

    Args:
        key: names the line within the incident, so that writing it again replaces its text: a message is
            first being sent, then sent.
    """
    return statement(
        "add_to_timeline",
        f"{number}:{key}" if key else ids.new(),
        number,
        at or datetime.now(UTC),
        kind,
        visible(actor)[:200],
        shortened(visible(text), MAX_CHARACTERS),
    )


def shortened(text: str, length: int) -> str:
    """Return a text of at most this length, which shows that something is missing."""
    return text if len(text) <= length else text[: length - 1] + "…"


def title(text: str) -> str:
    """Return what somebody wrote as a title: one line, with nothing hidden in it."""
    return shortened(one_line(text.strip()), MAX_TITLE)


async def of(database: OpsDatabase, number: int) -> list[Entry]:
    """Return the lines of an incident and of those that were merged into it, oldest first."""
    rows = [dict(row) for row in await database.rows("timeline", number)]
    return sorted(_entries(rows), key=lambda one: one.at)


def _entries(rows: list[dict[str, object]]) -> Iterator[Entry]:
    for row in rows:
        yield msgspec.convert(row, Entry)
