"""A flood of one client makes others wait for a turn or two, and never fills the queue for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from chitlaq.core.fair_turns import FairTurns, NoTurnError


class Counter:
    """Tasks that take turns, one at a time, and finish when they are told to."""

    def __init__(self, most_waiting: int) -> None:
        self.turns = FairTurns(1, most_waiting)
        self.served: list[str] = []
        self.step = asyncio.Semaphore(0)

    async def come(self, client: str) -> asyncio.Task[None]:
        """Let a client come; return when it is in or waits."""
        task = asyncio.create_task(self._take(client))
        await asyncio.sleep(0)
        return task

    async def serve(self, count: int) -> None:
        before = len(self.served)
        for _ in range(count):
            self.step.release()
        async with asyncio.timeout(10):
            while len(self.served) < before + count:
                await asyncio.sleep(0)

    async def _take(self, client: str) -> None:
        async with self.turns.turn(client):
            await self.step.acquire()
            self.served.append(client)


@asynccontextmanager
async def counter(most_waiting: int) -> AsyncIterator[Counter]:
    made = Counter(most_waiting)
    yield made
    # Whatever was refused or went away, nobody kept the turn.
    async with asyncio.timeout(10), made.turns.turn("last"):
        pass


async def test_others_wait_for_one_turn_and_not_for_the_flood() -> None:
    async with counter(8) as desk:
        flood = [await desk.come("flood") for _ in range(8)]
        others = [await desk.come("a"), await desk.come("b")]
        await desk.serve(4)
        assert desk.served == ["flood", "flood", "a", "b"]
        refused = [one for one in flood if one.done() and one.exception() is not None]
        assert len(refused) == 1, "the last of the flood gave way, as one more than eight waited"
        assert refused == [flood[-1]]
        await desk.serve(5)
        assert desk.served.count("flood") == 7
        await asyncio.gather(*flood, *others, return_exceptions=True)


async def test_flood_is_refused_itself_when_too_many_wait() -> None:
    async with counter(3) as desk:
        tasks = [await desk.come("flood") for _ in range(5)]
        with pytest.raises(NoTurnError):
            await tasks[-1]
        await desk.serve(4)
        await asyncio.gather(*tasks[:-1])


async def test_who_goes_away_keeps_nobodys_turn() -> None:
    async with counter(4) as desk:
        first, second, third = [await desk.come(client) for client in "abc"]
        second.cancel()
        await desk.serve(2)
        assert desk.served == ["a", "c"]
        await asyncio.gather(first, second, third, return_exceptions=True)
    async with counter(4) as desk:
        async with desk.turns.turn("a"):
            leaving = await desk.come("b")
        # It has just been given the turn, and does not know yet.
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        assert desk.served == []
