"""Turns at something scarce, for clients who do not know each other: bounded, and fair between them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class NoTurnError(Exception):
    """Too many wait already, and this client has as many among them as any other."""


class FairTurns:
    """Lets a few in at once; the others wait in one queue for each client, served in rotation.

    When too many wait, the last of the longest queue gives way (stochastic fairness queueing: McKenney,
    INFOCOM 1990). So whoever sends a flood waits for themselves, and the others hardly wait for them.

    Args:
        at_once: so many are in at the same time.
        most_waiting: so many wait, over all clients.
    """

    def __init__(self, at_once: int, most_waiting: int) -> None:
        self._free = at_once
        self._most = most_waiting
        self._count = 0
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def turn(self, client: str) -> AsyncIterator[None]:
        """Wait for a turn, and have it for the length of a block.

        Raises:
            NoTurnError: too many wait.
        """
        if self._free:
            self._free -= 1
        else:
            await self._wait(client)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, client: str) -> None:
        if self._count >= self._most:
            self._make_room(client)
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(turn)
        self._count += 1
        try:
            await turn
        except asyncio.CancelledError:
            # It was given the turn in the moment in which it went away.
            if not turn.cancelled() and turn.exception() is None:
                self._pass_on()
            raise

    def _make_room(self, client: str) -> None:
        longest = max(self._waiting.values(), key=len)
        if len(longest) <= len(self._waiting.get(client, ())) + 1:
            raise NoTurnError
        last = longest.pop()
        self._count -= 1
        if not last.done():
            last.set_exception(NoTurnError())

    def _pass_on(self) -> None:
        while self._waiting:
            client, queue = self._waiting.popitem(last=False)
            turn = queue.popleft()
            self._count -= 1
            if queue:
                self._waiting[client] = queue
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
