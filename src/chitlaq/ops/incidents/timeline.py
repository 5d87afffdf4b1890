"""The timeline of an incident: what was done and said, and what else happened while it went on.

What is done to an incident is written, in the transaction that does it. Alerts, actions, runs and changes
of the system have tables of their own and are read from there, so no line can be missing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Literal, TypeAlias

import msgspec

from chitlaq.core import ids
from chitlaq.core.local_time import local
from chitlaq.core.visible import one_line, visible
from chitlaq.ops.database.database import OpsDatabase, Statement, statement
from chitlaq.ops.history.alert_history import OWN

MAX_CHARACTERS = 5000
MAX_TITLE = 300
FLAPPING = 3
"""An alert that began so often in one incident flaps."""
CROWD = 30
"""With more lines of alerts than this, those of a minute are one line, which names some."""
NAMED = 5
BEFORE = timedelta(minutes=30)
"""What happened so long before an incident may be its cause."""
MAX_LINES = 100
"""Of each: actions, runs, changes of the system."""
MAX_EPISODES = 5000
ALERTMANAGER = "Alertmanager"
OPS_SERVICE = "ops-service"
"""Which raises alerts itself where Prometheus or Alertmanager cannot."""

Kind = Literal[
    "opened", "acknowledged", "expired", "severity", "merged", "split", "resolved", "reopened",
    "message", "note", "helped", "hindered", "item",
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
    written = _entries(await database.rows("timeline", number))
    episodes = msgspec.convert(
        list(map(dict, await database.rows("episodes", number, MAX_EPISODES))), list[_Episode]
    )
    begins = [one.started_at for one in episodes] + [one.at for one in written[:1]]
    if not begins:
        return []
    (span,) = await database.rows("incident_span", number)
    ended_at = span["resolved_at"] or datetime.now(UTC)
    around = (min(begins) - BEFORE, ended_at, MAX_LINES)
    found = [
        *written,
        *_of_alerts(episodes),
        *_entries(await database.rows("actions_between", *around)),
        *_entries(await database.rows("failed_runs_between", *around)),
        *_entries(await database.rows("changes_between", *around)),
    ]
    return sorted(found, key=lambda one: one.at)


def _entries(rows: Sequence[sqlite3.Row]) -> list[Entry]:
    return [
        msgspec.convert(
            {**dict(row), "text": shortened(visible(row["text"]), MAX_CHARACTERS)}, Entry
        )
        for row in rows
    ]


class _Episode(msgspec.Struct, frozen=True):
    fingerprint: str
    name: str
    severity: str
    summary: str
    started_at: datetime
    ended_at: datetime | None


_AlertLine: TypeAlias = tuple[datetime, str, str, str]
"""When, which alert, what it did, and who said so."""


def _of_alerts(episodes: Sequence[_Episode]) -> list[Entry]:
    """Say when alerts began and ended: what flaps and what comes in a crowd is one line."""
    found: list[_AlertLine] = []
    for _, group in groupby(episodes, key=lambda one: one.fingerprint):
        times = list(group)
        first, last = times[0], times[-1]
        actor = OPS_SERVICE if first.fingerprint.startswith(OWN) else ALERTMANAGER
        called = f"{first.severity} {one_line(first.name)}"
        summary = one_line(first.summary)
        if len(times) >= FLAPPING:
            state = "is firing" if last.ended_at is None else f"ended last {clock(last.ended_at)}"
            text = f"flaps: it began {len(times)} times until {clock(last.started_at)}, and {state}"
            found.append((first.started_at, called, f"{text}. {summary}", actor))
            continue
        for one in times:
            found.append((one.started_at, called, f"fires: {summary}", actor))
            if one.ended_at is not None:
                found.append((one.ended_at, called, "is over", actor))
    found.sort()
    if len(found) <= CROWD:
        return [Entry(at, "alert", actor, f"{name} {text}") for at, name, text, actor in found]
    return [_crowd(list(group)) for _, group in groupby(found, key=_minute_and_kind)]


def _minute_and_kind(line: _AlertLine) -> tuple[datetime, bool, str]:
    at, _, text, actor = line
    return at.replace(second=0, microsecond=0), text == "is over", actor


def _crowd(lines: Sequence[_AlertLine]) -> Entry:
    at, name, text, actor = lines[0]
    if len(lines) == 1:
        return Entry(at, "alert", actor, f"{name} {text}")
    names = list(dict.fromkeys(name for _, name, _, _ in lines))
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    said = f"{len(lines)} alerts {'are over' if text == 'is over' else 'fire'}"
    return Entry(at, "alert", actor, f"{said}: {', '.join(names[:NAMED])}{more}")


def clock(at: datetime) -> str:
    """A moment in local time."""
    return f"{local(at):%H:%M:%S}"
