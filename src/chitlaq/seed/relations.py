"""What else is between the demo's members: who asks to follow a private member, and who mutes whom."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from uuid import UUID

from chitlaq.seed.clock import DAY, uuid7
from chitlaq.seed.copying import Connection
from chitlaq.seed.graph import Graph
from chitlaq.seed.people import People

MOST_REQUESTS = 4
MUTING = 0.02
"""How likely a member is to be muted by one of their followers."""


async def write(connection: Connection, who: People, graph: Graph, until: int, rng: Random) -> None:
    """Write them; members and follows must be there."""
    for table, columns, rows in (
        (
            "follow_requests",
            ("id", "requester_id", "requested_id"),
            _requests(who, graph, until, rng),
        ),
        ("mutes", ("member_id", "muted_id"), _mutes(who, graph, rng)),
    ):
        await connection.copy_records_to_table(
            table, schema_name="feed", columns=columns, records=rows
        )


def _requests(
    who: People, graph: Graph, until: int, rng: Random
) -> Iterator[tuple[UUID, UUID, UUID]]:
    for member, own in enumerate(who.ids):
        if not who.private[member]:
            continue
        others = {rng.randrange(len(who)) for _ in range(rng.randint(1, MOST_REQUESTS))}
        for other in sorted(others - {member, *graph.followers[member]}):
            asked = UUID(bytes=uuid7(until - int(5 * DAY * rng.random()), rng))
            yield asked, UUID(bytes=who.ids[other]), UUID(bytes=own)


def _mutes(who: People, graph: Graph, rng: Random) -> Iterator[tuple[UUID, UUID]]:
    for member, own in enumerate(who.ids):
        followers = graph.followers[member]
        if followers and rng.random() < MUTING:
            yield UUID(bytes=who.ids[rng.choice(followers)]), UUID(bytes=own)
