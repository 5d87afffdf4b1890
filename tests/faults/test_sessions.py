"""PostgreSQL is killed while members refresh and sign out: that signs nobody out, and nobody in again."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable

import httpx

from tests.conftest import Member, Stack, eventually

Join = Callable[[], Awaitable[Member]]


class Tabs:
    """Three tabs of a browser that refresh the token they share, again and again, at the same moment."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self.token = member.refresh_token
        self.statuses: Counter[int] = Counter()

    async def refresh_forever(self) -> None:
        while True:
            answers = await asyncio.gather(*(self._refresh() for _ in range(3)))
            found = [answer for answer in answers if answer is not None]
            self.statuses.update(answer.status_code for answer in found)
            fresh = {one.json()["refresh_token"] for one in found if one.status_code == 200}
            assert len(fresh) <= 1
            self.token = next(iter(fresh), self.token)
            await asyncio.sleep(0.02)

    async def _refresh(self) -> httpx.Response | None:
        try:
            body = {"refresh_token": self.token}
            return await self._member.client.post("/api/auth/refresh", json=body)
        except httpx.TransportError:
            return None


async def test_postgresql_s_end_signs_nobody_out_and_nobody_in(stack: Stack, join: Join) -> None:
    stays, reads, leaves = await join(), await join(), await join()
    tabs = Tabs(stays)
    refreshing = asyncio.create_task(tabs.refresh_forever())
    read: Counter[int] = Counter()

    async def read_forever() -> None:
        while True:
            read[(await reads.get("/api/users/me")).status_code] += 1
            await asyncio.sleep(0.02)

    reading = asyncio.create_task(read_forever())
    try:
        await eventually(lambda: tabs.statuses[200] > 5 and read[200] > 5)
        pid = (await asyncio.to_thread(stack.ps))["postgres"]["pid"]
        assert (await leaves.post("/api/auth/logout")).status_code == 204
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: 503 in tabs.statuses and 503 in read)
        before = tabs.statuses[200], read[200]
        await eventually(lambda: tabs.statuses[200] > before[0] + 5 and read[200] > before[1] + 5)
        assert not refreshing.done()
    finally:
        for task in (refreshing, reading):
            task.cancel()
        await asyncio.gather(refreshing, reading, return_exceptions=True)
    assert set(tabs.statuses) == {200, 503}
    assert set(read) == {200, 503}

    async def is_refused() -> bool:
        return (await leaves.get("/api/users/me")).status_code == 401

    await eventually(is_refused)
    await eventually(stack.is_healthy)
