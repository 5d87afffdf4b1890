"""Who has which duty now, until when, and what the one before left to say; faults of the plan ahead."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from chitlaq.core import ids
from chitlaq.core.errors import OperatorError
from chitlaq.ops.actions import record
from chitlaq.ops.database.database import OpsDatabase, statement
from chitlaq.ops.oncall import rotations
from chitlaq.ops.oncall.roster import Roster
from chitlaq.ops.oncall.rotations import Override, Shift

AHEAD = timedelta(days=28)
"""How far ahead gaps are looked for."""
LONGEST_NOTE = 5000


class HandoverNote(msgspec.Struct, frozen=True):
    """What whoever handed over says to whoever took it."""

    rotation: str
    at: datetime
    made_by: str
    text: str


class Duty(msgspec.Struct, frozen=True):
    """A level now.

    Args:
        level: on-call, lead, cto.
        people: who is told, by id.
        until: when that changes; null where it does not within four weeks.
        then: who follows.
        note: the newest handover note.
    """

    level: str
    people: list[str]
    until: datetime | None = None
    then: str | None = None
    note: HandoverNote | None = None


async def now(
    database: OpsDatabase, roster: Roster, overrides: Sequence[Override], at: datetime
) -> list[Duty]:
    """Return who is told at each level."""
    notes = {note.rotation: note for note in await handover_notes(database)}
    duties = []
    for level, said in roster.levels.items():
        people = [person.id for person in rotations.told(roster, overrides, level, at)]
        if not isinstance(said, str):
            duties.append(Duty(level, people))
            continue
        first, *later = rotations.shifts(roster, overrides, said, at, at + AHEAD)
        until = first.ends_at if later else None
        duties.append(
            Duty(level, people, until, later[0].person if later else None, notes.get(said))
        )
    return duties


def gaps(roster: Roster, overrides: Sequence[Override], at: datetime) -> list[Shift]:
    """Return when nobody has a duty within the next four weeks."""
    return [
        shift
        for rotation in roster.rotations
        for shift in rotations.shifts(roster, overrides, rotation, at, at + AHEAD)
        if shift.person is None
    ]


async def hand_over(
    database: OpsDatabase, roster: Roster, rotation: str, by: str, text: str
) -> None:
    """Leave a note to whoever takes the duty over.

    Raises:
        OperatorError: there is no such rotation, or the note is empty or too long.
    """
    roster.rotation(rotation)
    if not text.strip() or len(text) > LONGEST_NOTE:
        raise OperatorError(f"Write a handover note of 1 to {LONGEST_NOTE} characters.")
    made = statement(
        "add_handover_note", ids.new(), rotation, datetime.now().astimezone(), by, text.strip()
    )
    await database.write(made, record.done("oncall handover", rotation, by, output=text.strip()))


async def handover_notes(database: OpsDatabase) -> list[HandoverNote]:
    """Return the newest handover note of each rotation."""
    rows = await database.rows("handover_notes")
    return msgspec.convert(list(map(dict, rows)), list[HandoverNote], strict=False)
