"""Search: whether the index has what it is made of."""

from __future__ import annotations

from collections import Counter

from chitlaq.ops.checks.model import CheckOutcome, Section, Table, Value, check, outcome
from chitlaq.ops.checks.sources.datastores import psql
from chitlaq.ops.checks.sources.system import SystemView

LOOKED_AT = 1000
"""Posts and messages, and a quarter as many members, chosen by chance. They take PostgreSQL half a second."""
SHOWN = 20


@check(
    "search.index",
    "The index of search",
    section=Section.SERVICES,
    looks_at="about a thousand posts and messages and 250 members, chosen by chance: what the index has"
    " of them, and what it should have",
    commands=(psql("SELECT * FROM search.index_faults(1000);"),),
    remedy="Members do not find what is missing, and find what is stale by what it said before."
    " `chitlaq search reindex --new` repairs all of it while the system runs. If it is wrong again the day"
    " after, find out what else writes to `feed.posts`, `websocket.messages` or `feed.members`.",
    timeout_seconds=15.0,
)
async def index(system: SystemView) -> CheckOutcome:
    rows = await system.postgres.rows("index_faults", LOOKED_AT)
    found = Counter(row["fault"] for row in rows)
    return outcome(
        "; ".join(f"{fault}: {number}" for fault, number in sorted(found.items()))
        or f"no fault among about {LOOKED_AT:,} posts and messages each",
        {"wrong": Value(len(rows), "", 1, 1)},
        Table(
            "entries",
            ["of", "id", "fault"],
            [[row["kind"], str(row["id"]), row["fault"]] for row in rows[:SHOWN]],
        ),
    )
