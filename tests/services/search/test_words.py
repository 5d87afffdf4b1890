"""A word is there as long as anybody has it, whoever changes members at the same moment."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest

from chitlaq.core.data import postgres
from tests.conftest import Member, Stack, eventually

Join = Callable[[], Awaitable[Member]]

RENAME = "UPDATE feed.members SET display_name = $2 WHERE id = $1::uuid"
TAG = "INSERT INTO feed.post_tags (post_id, tag, spelling) VALUES ($1::uuid, $2, $2)"


@pytest.mark.parametrize("kind", ["words", "tags"])
async def test_word_stays_that_a_second_one_begins_to_have_while_the_first_loses_it(
    stack: Stack, join: Join, kind: str
) -> None:
    first, second = await join(), await join()
    word = "".join(secrets.choice("bcdfghjklmnpqrstvwxz") for _ in range(12))
    if kind == "words":
        owners, has, loses = [first.id, second.id], RENAME, (RENAME, first.id, "Somebody Else")
    else:
        posts = [
            (await one.post("/api/posts", {"text": "no tag yet"})).json()["id"]
            for one in (first, second)
        ]
        untag = "DELETE FROM feed.post_tags WHERE post_id = $1::uuid AND tag = $2"
        owners, has, loses = posts, TAG, (untag, posts[0], word)
    async with AsyncExitStack() as open_until:

        async def connected() -> asyncpg.Connection[Any]:
            return await open_until.enter_async_context(postgres.connection(stack.dsn()))

        one, other, third = await connected(), await connected(), await connected()

        async def waits_or_is_done(task: asyncio.Task[str], connection: Any) -> None:
            pid = connection.get_server_pid()
            waiting = "SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock'"

            async def is_so() -> bool:
                return task.done() or bool(await stack.sql(waiting, pid))

            await eventually(is_so)

        inserts, also = one.transaction(), other.transaction()
        await inserts.start()
        await also.start()
        await one.execute(has, owners[0], word)
        task = asyncio.create_task(other.execute(has, owners[1], word))
        await waits_or_is_done(task, other)
        await inserts.commit()
        await task
        losing = asyncio.create_task(third.execute(*loses))
        await waits_or_is_done(losing, third)
        await also.commit()
        await losing
    column = "word" if kind == "words" else "tag"
    assert await stack.sql(f"SELECT FROM search.{kind} WHERE {column} = $1", word)
