"""What the escalation of an incident will do next, for whoever reads it."""

from __future__ import annotations

from datetime import datetime

import msgspec

from chitlaq.ops.database.database import OpsDatabase


class NextStep(msgspec.Struct, frozen=True):
    """A message that is planned; without a person it is the whole next level."""

    at: datetime
    what: str
    person: str = ""
    channel: str = ""


async def next_steps(database: OpsDatabase, number: int) -> list[NextStep]:
    """Return what happens to an incident unless somebody acknowledges it, soonest first."""
    steps = [
        NextStep(datetime.fromisoformat(row["due_at"]), row["role"], row["person"], row["channel"])
        for row in await database.rows("incident_pages", number)
    ]
    for clock in await database.rows("incident_clock", number):
        if clock["next_at"] is None:
            continue
        what = (
            "the next level is told"
            if clock["state"] == "running"
            else "the acknowledgement expires"
        )
        steps.append(NextStep(datetime.fromisoformat(clock["next_at"]), what))
    return sorted(steps, key=lambda step: step.at)
