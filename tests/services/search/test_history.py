"""Members see what they searched for, delete it, and switch it off; others never see it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

import asyncpg
import pytest

from chitlaq.core.data import postgres
from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.services.search.history.history import History
from tests.conftest import Member, Stack, eventually, free_ports

Join = Callable[[], Awaitable[Member]]


async def texts(member: Member) -> list[str]:
    return [one["text"] for one in (await member.get("/api/search/history")).json()["items"]]


async def test_history_is_the_members_own_to_see_delete_and_switch_off(join: Join) -> None:
    member, other = await join(), await join()
    for text in ("Gr", "Grace", "Emmy", "grace"):
        await member.get("/api/search/users", params={"q": text})
    await eventually(lambda: _is(member, ["grace", "Emmy"]))
    assert await texts(other) == []
    suggested = (await member.get("/api/search/suggest?q=em")).json()
    assert suggested["searches"] == ["Emmy"]
    assert (await other.get("/api/search/suggest?q=em")).json()["searches"] == []
    first = (await member.get("/api/search/history?limit=1")).json()
    rest = (await member.get(f"/api/search/history?limit=1&cursor={first['next_cursor']}")).json()
    assert [one["text"] for one in rest["items"]] == ["Emmy"]
    path = f"/api/search/history/{rest['items'][0]['id']}"
    assert (await other.delete(path)).status_code == 404
    assert (await member.delete(path)).status_code == 204
    assert (await member.delete(path)).status_code == 404
    assert await texts(member) == ["grace"]
    assert (await member.delete("/api/search/history")).status_code == 204
    assert await texts(member) == []
    settings = "/api/search/history/settings"
    assert (await member.get(settings)).json() == {"keeps_history": True}
    assert (await member.put(settings, {"keeps_history": False})).status_code == 204
    assert (await member.get(settings)).json() == {"keeps_history": False}
    await member.get("/api/search/users", params={"q": "nothing of this"})
    assert await texts(member) == []


@pytest.fixture
async def another_process(stack: Stack) -> AsyncIterator[History]:
    """The history in another process of search-service, which writes when it is told to."""
    queries = postgres.load_queries("chitlaq.core.data", "test", "chitlaq.services.search.history")
    database = Database(stack.dsn("chitlaq_search"), "test", queries)
    yield History(database)
    await database.close()


async def test_what_another_process_has_not_written_does_not_come_back_after_a_deletion(
    join: Join, another_process: History
) -> None:
    member, settings = await join(), "/api/search/history/settings"

    async def searched(text: str) -> None:
        another_process.remember(UUID(member.id), text)
        await another_process.write()

    await searched("Grace")
    (kept,) = (await member.get("/api/search/history")).json()["items"]
    another_process.remember(UUID(member.id), "Grace")
    assert (await member.delete(f"/api/search/history/{kept['id']}")).status_code == 204
    await another_process.write()
    assert await texts(member) == []
    await searched("Emmy")
    another_process.remember(UUID(member.id), "Ada")
    assert (await member.delete("/api/search/history")).status_code == 204
    await another_process.write()
    assert await texts(member) == []
    assert (await member.put(settings, {"keeps_history": False})).status_code == 204
    another_process.remember(UUID(member.id), "Hedy")
    assert (await member.put(settings, {"keeps_history": True})).status_code == 204
    await another_process.write()
    assert await texts(member) == []
    await searched("Marie")
    assert await texts(member) == ["Marie"]


async def test_deletion_waits_for_what_is_being_written(
    stack: Stack, join: Join, another_process: History
) -> None:
    member = await join()
    blocker = await asyncpg.connect(stack.dsn())
    try:
        await blocker.execute("BEGIN; LOCK TABLE search.history IN SHARE MODE")
        another_process.remember(UUID(member.id), "Grace")
        writing = asyncio.create_task(another_process.write())
        await eventually(lambda: _waits(stack, "relation"))
        deleting = asyncio.create_task(member.delete("/api/search/history"))
        await eventually(lambda: _waits(stack, "advisory"))
        await blocker.execute("COMMIT")
        await writing
        assert (await deleting).status_code == 204
    finally:
        await blocker.close()
    assert await texts(member) == []


async def _waits(stack: Stack, lock: str) -> bool:
    waiting = "SELECT FROM pg_locks WHERE locktype = $1 AND NOT granted"
    return bool(await stack.sql(waiting, lock))


async def test_search_waits_for_a_database_that_is_away(stack: Stack, join: Join) -> None:
    member = await join()
    queries = postgres.load_queries("chitlaq.core.data", "test", "chitlaq.services.search.history")
    there = Database(stack.dsn("chitlaq_search"), "test", queries)
    away = Database(f"postgresql://nobody@127.0.0.1:{free_ports(1)[0]}/none", "test", queries)
    history = History(away)
    history.remember(UUID(member.id), "Grace")
    with pytest.raises(PostgresUnavailableError):
        await history.write()
    history.remember(UUID(member.id), "Emmy")
    history._database = there
    await history.write()
    assert await texts(member) == ["Emmy", "Grace"]
    await there.close()
    await away.close()


async def _is(member: Member, wanted: list[str]) -> bool:
    return await texts(member) == wanted
