"""How the last message of each channel went, and a test of all of them: is a channel alive?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.settings import Smtp
from chitlaq.ops.actions import record
from chitlaq.ops.database.database import OpsDatabase, statement
from chitlaq.ops.oncall import channels
from chitlaq.ops.oncall.roster import Channel, Person, Roster

AT_ONCE = 4
"""So many messages are sent at the same time: each service of Apprise takes 60 MB while it lasts."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A channel of a person, and how its last message went; before the first there is no ``at``."""

    person: str
    channel: str
    after_minutes: int = 0
    at: datetime | None = None
    outcome: str | None = None
    detail: str = ""


async def listed(database: OpsDatabase, roster: Roster) -> list[Delivery]:
    """Return all channels of the roster, with their last message."""
    rows = {(row["person"], row["channel"]): row for row in await database.rows("deliveries")}
    found = []
    for person in roster.people.values():
        for channel in person.channels:
            row = rows.get((person.id, channel.name))
            last = (
                {"at": row["at"], "outcome": row["outcome"], "detail": row["detail"]} if row else {}
            )
            known = {
                "person": person.id,
                "channel": channel.name,
                "after_minutes": channel.after_minutes,
            }
            found.append(msgspec.convert(known | last, Delivery, strict=False))
    return found


async def test(
    database: OpsDatabase, smtp: Smtp, people: Sequence[Person], operator: str
) -> list[Delivery]:
    """Send a test message to every channel of these people, and return what came back."""
    slots = asyncio.Semaphore(AT_ONCE)
    text = f"{operator} tests the channels of those on call. There is no incident."

    async def tested(person: Person, channel: Channel) -> Delivery:
        async with slots:
            try:
                said, outcome = (
                    await channels.send(channel, smtp, "Test of ChitLaq's on-call", text),
                    "sent",
                )
            except OperatorError as error:
                said, outcome = str(error), "failed"
        at = datetime.now(UTC)
        await database.write(statement("keep_delivery", person.id, channel.name, at, outcome, said))
        return Delivery(
            person=person.id, channel=channel.name, after_minutes=channel.after_minutes,
            at=at, outcome=outcome, detail=said,
        )  # fmt: skip

    found = await asyncio.gather(
        *(tested(person, channel) for person in people for channel in person.channels)
    )
    taken = sum(one.outcome == "sent" for one in found)
    names = " ".join(person.id for person in people)
    await database.write(
        record.done("oncall test", names, operator, output=f"{taken} of {len(found)} channels")
    )
    return found
