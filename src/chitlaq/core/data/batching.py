"""Combine concurrent queries into batches.

A round trip to PostgreSQL often costs both sides more than the query in it. `Batcher` sends a single
question at once. Questions that arrive while batches are in flight wait until one returns and then
leave together. None waits for a batch to fill, and the higher the load, the less each question
costs: group commit, for queries.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")

MAX_TOGETHER = 64
MAX_UNDER_WAY = 2


class Batcher(Generic[Question, Answer]):
    """Asks questions in batches.

    Args:
        ask: answers a batch in the order of its questions. An exception goes to each question.
    """

    def __init__(self, ask: Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]]) -> None:
        self._ask = ask
        self._waiting: deque[tuple[Question, asyncio.Future[Answer]]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._is_woken = False

    async def ask(self, question: Question) -> Answer:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((question, answer))
        if not self._is_woken and len(self._under_way) < MAX_UNDER_WAY:
            # Send at the end of this event-loop iteration, together with what else it brings.
            self._is_woken = True
            loop.call_soon(self._send)
        return await answer

    def _send(self) -> None:
        self._is_woken = False
        while self._waiting and len(self._under_way) < MAX_UNDER_WAY:
            count = min(len(self._waiting), MAX_TOGETHER)
            batch = [self._waiting.popleft() for _ in range(count)]
            task = asyncio.create_task(self._answer(batch))
            self._under_way.add(task)
            task.add_done_callback(self._returned)

    def _returned(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._send()

    async def _answer(self, batch: list[tuple[Question, asyncio.Future[Answer]]]) -> None:
        # Skip callers who were cancelled while they waited.
        batch = [(question, future) for question, future in batch if not future.done()]
        if not batch:
            return
        try:
            answers = await self._ask([question for question, _ in batch])
            pairs = list(zip(batch, answers, strict=True))
        except BaseException as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        for (_, future), answer in pairs:
            if not future.done():
                future.set_result(answer)
