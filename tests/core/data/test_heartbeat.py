"""A service is healthy only if it can do its work, and says at once why it cannot."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import httpx
import pytest

from chitlaq.core.data import heartbeat, postgres
from chitlaq.core.data.heartbeat import Heartbeat
from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from tests.conftest import Stack, eventually


async def health(stack: Stack, service: str = "feed") -> tuple[int, dict[str, Any]]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{stack.ports[service]}") as client:
        answer = await client.get("/health")
    return answer.status_code, answer.json()


@pytest.mark.parametrize("mode", ["ACCESS EXCLUSIVE", "SHARE"])
async def test_service_whose_table_is_locked_says_so(stack: Stack, mode: str) -> None:
    """Also if it can still be read: nobody can post."""
    name = "feed-service"

    async def is_well() -> bool:
        return (await health(stack))[0] == 200 and stack.ps()[name]["state"] == "healthy"

    await eventually(is_well)
    pid = stack.ps()[name]["pid"]
    other = await asyncpg.connect(stack.dsn())
    try:
        async with other.transaction():
            await other.execute(f"LOCK TABLE feed.posts IN {mode} MODE")

            async def is_unable() -> bool:
                status, said = await health(stack)
                assert (status, said["status"]) == (503, "unhealthy")
                assert said["checks"]["postgres"]["status"] == "healthy"
                assert "feed.posts" in said["checks"]["work"]["detail"]
                return "is locked" in said["checks"]["work"]["detail"]

            await eventually(is_unable)
            gateway = f"http://127.0.0.1:{stack.ports['gateway']}/health"
            async with httpx.AsyncClient(timeout=20) as client:
                whole = await client.get(f"{stack.gateway}/api/health")
                assert (await client.get(gateway)).status_code == 200, "its own work is done"
            assert whole.status_code == 503
            assert whole.json()["checks"][name]["detail"] == "work unhealthy"

            async def is_shown() -> bool:
                shown = (await asyncio.to_thread(stack.ps))[name]
                assert (await asyncio.to_thread(stack.ps))["auth-service"]["state"] == "healthy"
                return shown["state"] == "unable" and "feed.posts" in shown["reason"]

            await eventually(is_shown)
            found = await asyncio.to_thread(stack.command, "doctor")
            assert "unable" in found.stdout
            async with httpx.AsyncClient() as client:
                metrics = await client.get(f"http://127.0.0.1:{stack.ports['feed']}/metrics")
            assert 'service_processes_unable{service="feed-service"} 1.0' in metrics.text
    finally:
        await other.close()
    await eventually(is_well)
    assert stack.ps()[name]["pid"] == pid, "another process could not work either"


WRITERS = ("auth", "feed", "search", "websocket")


@pytest.mark.parametrize("service", WRITERS)
async def test_whichever_table_a_service_writes_is_named_while_it_is_locked(
    stack: Stack, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the queue of jobs, and tables that are made later: nobody keeps a list."""
    monkeypatch.setattr(heartbeat, "LOCK_SECONDS", 0.02)
    role = f"chitlaq_{service}"
    database = Database(stack.dsn(role), "test", {})
    other = await asyncpg.connect(stack.dsn())
    try:
        written = [
            row["name"]
            for row in await stack.sql(
                "SELECT c.oid::regclass::text AS name FROM pg_class c"
                " WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition"
                " AND c.relnamespace::regnamespace::text IN ($1, 'jobs', 'health')"
                " AND has_table_privilege($2, c.oid, 'UPDATE')",
                service,
                role,
            )
        ]
        assert {"jobs.jobs", "health.heartbeats"} < set(written)
        for table in written:
            async with other.transaction():
                await other.execute(f"LOCK TABLE {table} IN SHARE MODE")
                beating = Heartbeat(database, "test", is_wanted=True)
                assert await beating.ask(20) == f"{table} is locked by others for more than 0.02 s"
        assert await Heartbeat(database, "test", is_wanted=True).ask(20) == ""
    finally:
        await other.close()
        await database.close()


async def test_pool_whose_connections_all_wait_says_so(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL answers, and is not to blame."""
    monkeypatch.setattr(postgres, "POOL_SIZE", 2)
    database = Database(stack.dsn("chitlaq_feed"), "test", {})
    try:
        async with database.session(), database.session():
            with pytest.raises(PostgresUnavailableError, match="all 2 connections of this process"):
                await database.ping(0.1)
        await database.ping(20)
    finally:
        await database.close()


async def test_beats_are_rows_of_their_own_process(stack: Stack) -> None:
    rows = await stack.sql("SELECT role, process FROM health.heartbeats")
    shown = stack.ps()
    for service in WRITERS:
        name = "websocket" if service == "websocket" else f"{service}-service"
        assert (f"chitlaq_{service}", shown[name]["pid"]) in [tuple(row) for row in rows]


async def test_rows_of_processes_that_are_gone_do_not_pile_up(stack: Stack) -> None:
    await stack.sql(
        "INSERT INTO health.heartbeats (role, process, at)"
        " VALUES ('chitlaq_feed', 999999, now() - interval '2 hours')"
    )

    async def is_gone() -> bool:
        await health(stack)
        return not await stack.sql("SELECT FROM health.heartbeats WHERE process = 999999")

    await eventually(is_gone)
