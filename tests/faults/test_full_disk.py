"""The disk of the home fills up, everything dies, and comes back once there is space.

Attacks the promise that everything recovers on its own.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import Stack, eventually, start_stack, stop_stack
from tests.disks import fill, small_disk


@pytest.fixture
def on_a_small_disk() -> Iterator[Stack]:
    with small_disk(1000) as disk:
        stack = start_stack(disk / "home", CHITLAQ_BACKUPS_ARCHIVE="on")
        try:
            # With data of its own: a copy has WAL to write into, so PostgreSQL needs no space to start.
            answer = stack.command("up", "--detach")
            assert answer.returncode == 0, answer.stderr
            yield stack
        finally:
            stop_stack(stack)


async def test_everything_that_dies_on_a_full_disk_comes_back(on_a_small_disk: Stack) -> None:
    stack = on_a_small_disk
    await eventually(lambda: asyncio.to_thread(stack.is_healthy))
    before = await asyncio.to_thread(stack.ps)
    filler = await asyncio.to_thread(fill, stack.home)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        (stack.home / "more").write_bytes(b"x" * 100_000)

    # The services need no space at all: with PostgreSQL running they come back on the full disk.
    def restarted(service: str) -> bool:
        now = stack.ps()[service]
        is_back = now["state"] in {"healthy", "unable"}
        return bool(is_back and now["pid"] != before[service]["pid"])

    services = [name for name in before if name.endswith("-service")] + ["websocket", "api-gateway"]
    for service in services:
        os.kill(before[service]["pid"], signal.SIGKILL)
    await eventually(lambda: asyncio.to_thread(lambda: all(map(restarted, services))))
    async with httpx.AsyncClient(timeout=20) as client:
        answer = await client.get(f"http://127.0.0.1:{stack.ports['feed']}/metrics")
        assert answer.status_code == 200

    # They say themselves that they cannot work.
    def says_so(service: str) -> bool:
        now = stack.ps()[service]
        return now["state"] == "unable" and os.strerror(errno.ENOSPC) in now["reason"]

    writing = ("auth-service", "feed-service", "search-service", "websocket")
    await eventually(lambda: asyncio.to_thread(lambda: all(map(says_so, writing))))

    # Whatever needs space, or writes as it dies, is not given up.
    before = await asyncio.to_thread(stack.ps)
    for row in before.values():
        if row["pid"]:
            os.kill(row["pid"], signal.SIGKILL)
    await eventually(lambda: asyncio.to_thread(lambda: stack.ps()["postgres"]["restarts"] >= 2))
    filler.unlink()
    await eventually(lambda: asyncio.to_thread(stack.is_healthy))
    after = await asyncio.to_thread(stack.ps)
    for name, row in before.items():
        assert row["state"] == "done" or after[name]["pid"] != row["pid"], name

    # What was counted in memory meanwhile is counted on.
    async def is_measured() -> bool:
        async with httpx.AsyncClient(timeout=20) as client:
            answer = await client.get(f"http://127.0.0.1:{stack.ports['feed']}/metrics")
        return 'http_requests_total{method="GET"' in answer.text

    await eventually(is_measured)
