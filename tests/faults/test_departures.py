"""A process is killed in the middle of an export or an erasure: it goes on, and nothing is half there.

Attacks the promise that members get everything that is kept of them, and that all of it is erased.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg

from tests.conftest import PASSWORD, Member, Stack, eventually
from tests.services.auth.test_departures import exported, leave, traces

Join = Callable[[], Awaitable[Member]]


@asynccontextmanager
async def held_up(stack: Stack, table: str) -> AsyncIterator[None]:
    """Let nobody read a table."""
    connection = await asyncpg.connect(stack.dsn())
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {table}")
            yield
    finally:
        await connection.close()


async def is_waiting(stack: Stack, query: str) -> bool:
    rows = await stack.sql(
        "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1",
        f"%{query}%",
    )
    return bool(rows)


async def kill(stack: Stack, service: str) -> None:
    pid = (await asyncio.to_thread(stack.ps))[service]["pid"]
    os.kill(pid, signal.SIGKILL)


async def test_export_goes_on_after_a_kill(stack: Stack, join: Join) -> None:
    ada = await join()
    await ada.write("before the kill")
    async with held_up(stack, "feed.likes"):
        export = asyncio.create_task(exported(ada))
        await eventually(lambda: is_waiting(stack, "export_likes"))
        await kill(stack, "feed-service")
        assert await stack.sql("SELECT FROM auth.export_files WHERE name LIKE 'feed/%'") == []
    archive = await export
    assert b"before the kill" in archive.read("feed/posts.json")
    assert len(archive.namelist()) == len(set(archive.namelist()))


async def test_erasure_goes_on_after_kills_and_in_the_middle_of_an_export(
    stack: Stack, join: Join
) -> None:
    ada = await join()
    word = f"secret{uuid4().hex}"
    await ada.write(word)
    async with held_up(stack, "feed.likes"):
        # Its part of the feed waits as long as the export: it finds nobody any more.
        assert (await ada.post("/api/auth/export")).status_code == 202
        await eventually(lambda: is_waiting(stack, "export_likes"))
        assert (await leave(ada, password=PASSWORD)).status_code == 202
        await stack.sql("UPDATE auth.departures SET erase_at = now() WHERE account_id = $1", ada.id)
        await eventually(lambda: is_waiting(stack, "erase_likes"))
        await kill(stack, "feed-service")
        await kill(stack, "auth-service")

    async def is_gone() -> bool:
        rows = await stack.sql("SELECT FROM auth.accounts WHERE id = $1", ada.id)
        jobs = await stack.sql("SELECT FROM jobs.jobs WHERE payload->>'account_id' = $1", ada.id)
        return not rows and not jobs

    await eventually(is_gone)
    assert await traces(stack, ada.id, word, ada.email, ada.username) == []
