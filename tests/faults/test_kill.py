"""Processes are killed, stopped and restarted under load: no acknowledged write is lost.

Attacks the promises that no acknowledged write is lost, that a failure affects only the failed
part, and that everything recovers on its own.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import psutil
import pytest

from chitlaq.core.http import health
from tests.conftest import PASSWORD, Member, Stack, eventually, start_stack, stop_stack

Join = Callable[[], Awaitable[Member]]

COMPONENTS = (
    "postgres", "redis", "auth-service", "feed-service", "search-service", "websocket", "api-gateway",
    "nginx",
)  # fmt: skip


class Load:
    """Members who write and read, lightly, and record acknowledged writes."""

    def __init__(self) -> None:
        self.acknowledged: list[str] = []
        self.statuses: Counter[int] = Counter()

    async def write(self, member: Member) -> None:
        number = 0
        while True:
            number += 1
            try:
                answer = await member.post("/api/posts", {"text": f"under load {number}"})
            except httpx.TransportError:
                continue
            finally:
                await asyncio.sleep(0.05)
            self.statuses[answer.status_code] += 1
            if answer.status_code == 201:
                self.acknowledged.append(answer.json()["id"])

    async def read(self, member: Member) -> None:
        while True:
            try:
                answer = await member.get("/api/feed/home")
            except httpx.TransportError:
                continue
            finally:
                await asyncio.sleep(0.05)
            self.statuses[answer.status_code] += 1


@asynccontextmanager
async def light_load(join: Join) -> AsyncIterator[tuple[Load, Member]]:
    author, reader = await join(), await join()
    assert (await reader.put(f"/api/users/{author.username}/follow")).status_code == 204
    load = Load()
    tasks = [asyncio.create_task(load.write(author)), asyncio.create_task(load.read(reader))]
    try:
        await eventually(lambda: len(load.acknowledged) >= 3)
        yield load, reader
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def assert_nothing_lost(stack: Stack, load: Load, reader: Member) -> None:
    (row,) = await stack.sql(
        "SELECT count(*) FROM feed.posts WHERE id = ANY ($1::text[]::uuid[])", load.acknowledged
    )
    assert row["count"] == len(load.acknowledged)

    async def newest_is_in_the_feed() -> bool:
        return load.acknowledged[-1] in [item["id"] for item in await reader.home(limit=20)]

    await eventually(newest_is_in_the_feed)


@pytest.mark.parametrize("component", COMPONENTS)
async def test_killed_process_restarts_and_no_acknowledged_write_is_lost(
    stack: Stack, join: Join, component: str
) -> None:
    before = await asyncio.to_thread(stack.ps)
    async with light_load(join) as (load, reader):
        os.kill(before[component]["pid"], signal.SIGKILL)

        def is_back() -> bool:
            now = stack.ps()
            return now[component]["pid"] not in {None, before[component]["pid"]} and all(
                row["state"] in {"healthy", "done"} for row in now.values()
            )

        await eventually(lambda: asyncio.to_thread(is_back))
        count = len(load.acknowledged)
        await eventually(lambda: len(load.acknowledged) >= count + 5)
    after = await asyncio.to_thread(stack.ps)
    assert after[component]["restarts"] == before[component]["restarts"] + 1
    for name in COMPONENTS:
        if name != component:
            assert after[name]["pid"] == before[name]["pid"], f"{name} needed no restart"
    assert set(load.statuses) <= {200, 201, 503}, load.statuses
    await assert_nothing_lost(stack, load, reader)


async def test_service_restart_fails_no_request(stack: Stack, join: Join) -> None:
    async with light_load(join) as (load, reader):
        answer = await asyncio.to_thread(stack.command, "restart", "feed-service")
        assert answer.returncode == 0, answer.stderr
        count = len(load.acknowledged)
        await eventually(lambda: len(load.acknowledged) >= count + 3)
    assert set(load.statuses) == {200, 201}, load.statuses
    await assert_nothing_lost(stack, load, reader)


async def test_requests_in_flight_are_answered_on_shutdown(stack: Stack, join: Join) -> None:
    members = [await join() for _ in range(6)]
    pid = (await asyncio.to_thread(stack.ps))["auth-service"]["pid"]
    base = f"http://127.0.0.1:{stack.ports['auth']}"
    async with httpx.AsyncClient(base_url=base, timeout=20) as direct:
        # Each takes some 30 ms of a core, two at a time: most are in flight when the signal comes.
        logins = [
            asyncio.create_task(
                direct.post("/auth/login", json={"login": one.username, "password": PASSWORD})
            )
            for one in members
        ]
        await asyncio.wait(logins, return_when=asyncio.FIRST_COMPLETED)
        os.kill(pid, signal.SIGTERM)
        answers = await asyncio.gather(*logins)
    assert [answer.status_code for answer in answers] == [200] * len(members)

    # For a moment `ps` still shows the process that has just ended, as healthy.
    async def is_replaced() -> bool:
        found = (await asyncio.to_thread(stack.ps))["auth-service"]
        return found["pid"] not in {None, pid} and found["state"] == "healthy"

    await eventually(is_replaced)


async def test_health_answers_within_a_second_whatever_hangs(stack: Stack) -> None:
    ps = await asyncio.to_thread(stack.ps)
    postmaster = psutil.Process(ps["postgres"]["pid"])
    stopped = [postmaster, *postmaster.children(), psutil.Process(ps["redis"]["pid"])]
    for process in stopped:
        process.suspend()
    try:
        assert health.CHECK_SECONDS < 1
        async with httpx.AsyncClient(timeout=20) as client:

            async def ask(port: str) -> None:
                base = f"http://127.0.0.1:{stack.ports[port]}"
                answers = [await client.get(f"{base}/health") for _ in range(3)]
                # Sequential checks of the two hanging servers would take twice as long.
                quickest = min(answer.elapsed.total_seconds() for answer in answers)
                assert quickest < 2 * health.CHECK_SECONDS, port
                answer = answers[0]
                assert answer.status_code == 503
                assert answer.json()["status"] == "unhealthy"
                assert answer.json()["checks"]["redis"]["status"] == "degraded"
                assert (await client.get(f"{base}/live")).status_code == 200
                assert (await client.get(f"{base}/ready")).status_code == 503

            ports = ("gateway", "websocket", "feed", "search", "auth")
            await asyncio.gather(*(ask(port) for port in ports))
    finally:
        for process in stopped:
            process.resume()
    await eventually(lambda: asyncio.to_thread(stack.is_healthy))


async def test_hanging_process_is_detected_and_replaced(
    stack: Stack, client: httpx.AsyncClient
) -> None:
    pid = (await asyncio.to_thread(stack.ps))["search-service"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    states = set()

    def is_replaced() -> bool:
        row = stack.ps()["search-service"]
        states.add(row["state"])
        return bool(row["state"] == "healthy" and row["pid"] != pid)

    await eventually(lambda: asyncio.to_thread(is_replaced))
    assert "unresponsive" in states
    assert (await client.get("/api/search/users", params={"q": "any"})).status_code == 200


async def test_stack_whose_supervisor_was_killed_starts_again(stack: Stack) -> None:
    own = start_stack()
    try:
        await asyncio.to_thread(own.up)
        pids = [row["pid"] for row in own.ps().values() if row["pid"]]
        supervisor = psutil.Process(pids[0]).parent()
        assert supervisor is not None
        supervisor.kill()
        await eventually(lambda: not any(map(psutil.pid_exists, pids)))
        assert own.command("ps").returncode == 1
        await asyncio.to_thread(own.up)
        assert own.is_healthy()
        assert own.command("down").returncode == 0
        assert own.command("down").stdout == "ChitLaq is not running here.\n"
    finally:
        stop_stack(own)
