"""The feed: whether members can post, and whether counters are what they count."""

from __future__ import annotations

from chitlaq.core.errors import OperatorError, UnknownResult
from chitlaq.core.formatting import count, duration
from chitlaq.monitoring.post_probe import PostProbeError, measure
from chitlaq.ops.checks.model import CheckOutcome, Section, Table, Value, Verdict, check, outcome
from chitlaq.ops.checks.sources.datastores import psql
from chitlaq.ops.checks.sources.judged_by import (
    CONNECTIONS,
    DISK,
    JUDGED_BY,
    LOCKS,
    POSTGRES,
)
from chitlaq.ops.checks.sources.system import SystemView

LOOKED_AT = 1000
"""Members, and as many posts, chosen by chance. With 70 follows each they take PostgreSQL 50 ms."""
SHOWN = 20


@check(
    "feed.round_trip",
    "A post and its reading",
    section=Section.SERVICES,
    looks_at="a post of a synthetic member through the edge: written, read by its author alone, deleted",
    commands=("chitlaq ops check feed.round_trip",),
    remedy="`chitlaq logs feed-service --errors --since 15m`, with the request ID of the answer.",
    timeout_seconds=8.0,
    is_timed=True,
    stands_on=(
        POSTGRES,
        CONNECTIONS,
        LOCKS,
        DISK,
        *(JUDGED_BY[one] for one in ("nginx", "auth-service", "feed-service")),
    ),
)
async def round_trip(system: SystemView) -> CheckOutcome:
    try:
        seconds = await measure(system.home, system.settings)
    except PostProbeError as error:
        return outcome(f"a post of a synthetic member: {error}", least=Verdict.CRITICAL)
    except OperatorError as error:
        raise UnknownResult(str(error)) from None
    return outcome(
        f"read {duration(seconds)} after it was begun",
        {"seconds": Value(seconds, "seconds", *system.thresholds.round_trip_seconds)},
    )


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
