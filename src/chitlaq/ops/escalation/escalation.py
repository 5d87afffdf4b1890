"""What the escalation of an incident will do next, for whoever reads it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.escalation import planning
from chitlaq.ops.oncall import rotations
from chitlaq.ops.oncall.roster import Roster
from chitlaq.ops.oncall.rotations import Override

NOBODY = Roster()
"""Where the roster is not known."""


class NextStep(msgspec.Struct, frozen=True):
    """A message that is planned; without a person it is the whole next level."""

    at: datetime
    what: str
    person: str = ""
    channel: str = ""


async def next_steps(
    database: OpsDatabase,
    number: int,
    roster: Roster = NOBODY,
    overrides: Sequence[Override] = (),
) -> list[NextStep]:
    """Return what happens to an incident unless somebody acknowledges it, soonest first."""
    steps = []
    for clock in await database.rows("incident_clock", number):
        condition = "if an alert fires again, " if clock["waits"] else ""
        for row in await database.rows("incident_pages", number):
            at = datetime.fromisoformat(row["due_at"])
            steps.append(NextStep(at, condition + row["role"], row["person"], row["channel"]))
        if clock["next_at"] is None:
            continue
        at = datetime.fromisoformat(clock["next_at"])
        if clock["state"] == "running":
            level = planning.next_level(roster, clock["severity"], clock["level"])
            what = condition + _told(roster, overrides, level, at)
        else:
            what = "the acknowledgement expires"
        steps.append(NextStep(at, what))
    return sorted(steps, key=lambda step: step.at)


def _told(roster: Roster, overrides: Sequence[Override], level: str, at: datetime) -> str:
    """Say whom a level is at a moment."""
    if not level:
        return (
            "the next level is told"
            if roster is NOBODY
            else "the deadline passes, and nobody else is told"
        )
    people = rotations.told(roster, overrides, level, at)
    names = ", ".join(one.name or one.id for one in people) or "nobody"
    return f"{level} is told ({names})"
