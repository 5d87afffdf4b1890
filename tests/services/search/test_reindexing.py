"""`chitlaq search reindex` is killed in the middle, and goes on there; nobody waits for it."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg

from chitlaq.services.search.reindexing import BATCH
from tests.conftest import Member, Stack, eventually

Join = Callable[[], Awaitable[Member]]

MEMBERS = BATCH + 100
EARLY, HELD, LATE = 100, BATCH + 50, BATCH + 80
"""Of the first step; the one that the second waits for; one after it."""

# Before all others, in the order of their numbers; without the triggers that would index them.
STORE = """
WITH who AS (
    SELECT format('00000000-0000-7000-8000-%s', lpad(n::text, 12, '0'))::uuid AS id, 'reg_' || n AS username,
           'Reginlind Oxenford' AS name, d.university_id
    FROM auth.university_domains d, generate_series(1, $1::integer) n WHERE d.domain = 'example.edu'
), accounts AS (
    INSERT INTO auth.accounts (id, university_id, email, username, display_name, verified_at)
    SELECT id, university_id, username || '@example.edu', username, name, now() FROM who
)
INSERT INTO feed.members (id, university_id, username, display_name)
SELECT id, university_id, username, name FROM who
"""
WAITS = (
    "SELECT FROM pg_stat_activity WHERE query LIKE '%reindex_some%' AND wait_event_type = 'Lock'"
)
RENAME = "UPDATE feed.members SET display_name = $2 WHERE id = $1"
PLACE = "SELECT indexed_to FROM search.reindexing"


def at(number: int) -> UUID:
    return UUID(f"00000000-0000-7000-8000-{number:012}")


async def found(viewer: Member, text: str) -> list[str]:
    """The usernames of all pages."""
    names: list[str] = []
    asked = {"q": text, "limit": "100"}
    while True:
        page = (await viewer.get("/api/search/users", params=asked)).json()
        names += [one["username"] for one in page["items"]]
        if page["next_cursor"] is None:
            return names
        asked["cursor"] = page["next_cursor"]


async def test_reindexing_that_is_killed_goes_on_where_it_was(stack: Stack, join: Join) -> None:
    viewer = await join()
    connection = await asyncpg.connect(stack.dsn())
    try:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(STORE, MEMBERS)
        await connection.execute("RESET session_replication_role")
        assert await found(viewer, "Reginlind") == []
        held = connection.transaction()
        await held.start()
        await connection.execute("SELECT FROM feed.members WHERE id = $1 FOR UPDATE", at(HELD))
        command = [sys.executable, "-m", "chitlaq", "search", "reindex", "--new"]
        with subprocess.Popen(command, env=stack.environment) as process:
            try:
                await eventually(lambda: stack.sql(WAITS))
                # What is changed meanwhile is found at once: before its place, after it, and whoever joins.
                await stack.sql(RENAME, at(EARLY), "Walfrieda Oxenford")
                await stack.sql(RENAME, at(LATE), "Walfrieda Oxenford")
                await viewer.patch("/api/users/me", {"display_name": "Walfrieda Viewer"})
                changed = {f"reg_{EARLY}", f"reg_{LATE}", viewer.username}
                assert set(await found(viewer, "Walfrieda")) == changed
            finally:
                process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        await held.rollback()
        # What the killed step had done is undone, once PostgreSQL has noticed.
        await eventually(lambda: _is_over(stack))
        assert [row["indexed_to"] for row in await stack.sql(PLACE)] == [at(BATCH)]
        assert len(await found(viewer, "Reginlind")) == BATCH - 1
        total = await connection.fetchval("SELECT count(*) FROM feed.members")
        done = await asyncio.to_thread(stack.json, "search", "reindex")
        assert done["members"] == total - BATCH, "what the first run had done is not done again"
        assert await stack.sql(PLACE) == []
        expected = sorted({f"reg_{n}" for n in range(1, MEMBERS + 1)} - changed)
        assert sorted(await found(viewer, "Reginlind")) == expected, "everybody, and nobody twice"
        assert set(await found(viewer, "Walfrieda")) == changed
        assert set(await found(viewer, "reginlidn 1")) >= {"reg_1"}, "words are counted as well"
    finally:
        await connection.execute("RESET session_replication_role")
        own = [at(n) for n in range(1, MEMBERS + 1)]
        await connection.execute("DELETE FROM auth.accounts WHERE id = ANY ($1)", own)
        await connection.close()


async def _is_over(stack: Stack) -> bool:
    return not await stack.sql(
        "SELECT FROM pg_stat_activity WHERE query LIKE '%reindex_some%' AND pid <> pg_backend_pid()"
    )
