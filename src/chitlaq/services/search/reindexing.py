"""Write the index of all that is searched anew, online; an interrupted run goes on where it was."""

from __future__ import annotations

from collections.abc import Callable

import asyncpg
import msgspec

BATCH = 500
"""Members, posts or messages of one transaction: who changes one of them waits no longer for it."""

MEMBERS = "SELECT count(*) FROM feed.members"
POSTS = "SELECT count(*) FROM feed.posts"
MESSAGES = "SELECT count(*) FROM websocket.messages"

Progress = Callable[[str, int, int], None]


class Reindexed(msgspec.Struct, frozen=True):
    members: int
    words: int
    tags: int
    posts: int
    messages: int
    removed: int
    """Words and tags that nobody has any longer."""


async def reindex(
    connection: asyncpg.Connection[asyncpg.Record], progress: Progress, *, is_new: bool
) -> Reindexed:
    """Index everything anew, then count words and tags, and remove those that nobody has.

    Args:
        connection: as the owner of the schema, outside a transaction.
        progress: called with a stage's name, the amount done, and its total.
        is_new: begin with the first of each, also if an earlier run was interrupted.
    """
    if is_new:
        await connection.execute(
            "DELETE FROM search.reindexing; DELETE FROM search.text_reindexing"
        )
    members = await _each(connection, progress, "members", MEMBERS, "reindex_some")
    async with connection.transaction():
        removed = await connection.fetchval("SELECT search.recount()")
    words = await connection.fetchval("SELECT count(*) FROM search.words")
    tags = await connection.fetchval("SELECT count(*) FROM search.tags")
    posts = await _each(connection, progress, "posts", POSTS, "reindex_posts")
    messages = await _each(connection, progress, "messages", MESSAGES, "reindex_messages")
    return Reindexed(members, words, tags, posts, messages, removed)


async def _each(
    connection: asyncpg.Connection[asyncpg.Record],
    progress: Progress,
    stage: str,
    count: str,
    function: str,
) -> int:
    """Index what a query counts by a function that takes the next ones; returns how many."""
    total = await connection.fetchval(count)
    done = 0
    while True:
        async with connection.transaction():
            step = await connection.fetchval(f"SELECT search.{function}($1)", BATCH)
        if not step:
            return done
        done += step
        progress(stage, min(done, total), total)
