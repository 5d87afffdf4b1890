"""Write the index of members and tags anew, online; an interrupted run goes on where it was."""

from __future__ import annotations

from collections.abc import Callable

import asyncpg
import msgspec

BATCH = 500
"""Members of one transaction: who changes one of them meanwhile waits no longer for it."""

Progress = Callable[[str, int, int], None]


class Reindexed(msgspec.Struct, frozen=True):
    members: int
    words: int
    tags: int
    removed: int
    """Words and tags that nobody has any longer."""


async def reindex(
    connection: asyncpg.Connection[asyncpg.Record], progress: Progress, *, is_new: bool
) -> Reindexed:
    """Index all members anew, then count words and tags, and remove those that nobody has.

    Args:
        connection: as the owner of the schema, outside a transaction.
        progress: called with a stage's name, the amount done, and its total.
        is_new: begin with the first member, also if an earlier run was interrupted.
    """
    total = await connection.fetchval("SELECT count(*) FROM feed.members")
    if is_new:
        await connection.execute("DELETE FROM search.reindexing")
    done = 0
    while True:
        async with connection.transaction():
            step = await connection.fetchval("SELECT search.reindex_some($1)", BATCH)
        if not step:
            break
        done += step
        progress("members", min(done, total), total)
    async with connection.transaction():
        removed = await connection.fetchval("SELECT search.recount()")
    words = await connection.fetchval("SELECT count(*) FROM search.words")
    tags = await connection.fetchval("SELECT count(*) FROM search.tags")
    return Reindexed(done, words, tags, removed)
