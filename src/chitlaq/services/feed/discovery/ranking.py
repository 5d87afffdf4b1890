"""Rankings of posts and tags: made every two minutes by whichever process is first, and read by all."""

from __future__ import annotations

import asyncio

from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.telemetry import logs

PERIOD_SECONDS = 120.0
LOOK_SECONDS = 30.0
KEPT_SECONDS = 3600.0
"""How long a reader may take from one page of a ranking to the next."""

DAYS = 3
"""Older posts are not ranked."""
MIN_ACCOUNT_DAYS = 3
"""Younger accounts raise nothing: a ring of new ones is of no use."""
MIN_PEOPLE = 2
MAX_PER_AUTHOR = 3
MAX_POSTS = 300

MIN_AUTHORS = 3
MAX_TAGS = 20
TAG_DAYS = 8
"""The day that is ranked, and the seven that it is compared with."""

log = logs.get("discovery")


async def rank_forever(database: Database) -> None:
    """Rank whenever the last ranking is old and no other process does."""
    while True:
        try:
            await rank(database, PERIOD_SECONDS)
        except PostgresUnavailableError as error:
            log.warning("ranking waits for the database", error=str(error))
        await asyncio.sleep(LOOK_SECONDS)


async def rank(database: Database, period_seconds: float) -> None:
    """Rank posts and tags, unless that was done within a period, or is being done."""
    async with database.transaction() as session:
        if not (
            await session.value("try_lock_kind", "rank_posts")
            and await session.value("is_ranking_due", period_seconds)
        ):
            return
        await session.execute("keep_to_one_core")
        await session.execute(
            "rank_posts", DAYS, MIN_ACCOUNT_DAYS, MIN_PEOPLE, MAX_PER_AUTHOR, MAX_POSTS
        )
        await session.execute("forget_rankings", KEPT_SECONDS)
        await session.execute("forget_trending")
        since = await session.value("id_days_ago", TAG_DAYS)
        await session.execute("rank_tags", MIN_ACCOUNT_DAYS, MIN_AUTHORS, MAX_TAGS, since)
