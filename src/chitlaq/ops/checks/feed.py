"""The feed: whether counters are what they count."""

from __future__ import annotations

from chitlaq.core.formatting import count
from chitlaq.ops.checks.model import CheckOutcome, Section, Table, Value, check, outcome
from chitlaq.ops.checks.sources.datastores import psql
from chitlaq.ops.checks.sources.system import SystemView

LOOKED_AT = 1000
"""Members, and as many posts, chosen by chance. With 70 follows each they take PostgreSQL 50 ms."""
SHOWN = 20


@check(
    "feed.counters",
    "Counters of the feed",
    section=Section.SERVICES,
    looks_at="about a thousand members and posts, chosen by chance: the counters of follows, likes, reposts"
    " and replies, and what they count",
    commands=(psql("SELECT * FROM feed.counter_faults(1000);"),),
    remedy="feed-service repairs all counters once a day"
    " (`chitlaq logs feed-service --since 24h | grep 'counters repaired'`). If they are wrong again the day"
    " after, find out what else writes to `feed.follows`, `feed.likes`, `feed.reposts` or `feed.posts`.",
)
async def counters(system: SystemView) -> CheckOutcome:
    rows = await system.postgres.rows("counter_faults", LOOKED_AT)
    return outcome(
        f"{count(len(rows), 'counter')} wrong, of those of about {LOOKED_AT:,} members and posts",
        {"wrong": Value(len(rows), "", 1, 1)},
        Table(
            "counters",
            ["member or post", "counter", "stored", "counted"],
            [
                [str(row["id"]), row["counter"], str(row["stored"]), str(row["counted"])]
                for row in rows[:SHOWN]
            ],
        ),
    )
