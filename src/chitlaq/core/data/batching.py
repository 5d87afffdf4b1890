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
from typing import Generic, Protocol, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")

MAX_TOGETHER = 64
MAX_UNDER_WAY = 2

Wanted_contra = TypeVar("Wanted_contra", contravariant=True)


class Waiter(Protocol[Wanted_contra]):
    """Who gets an answer: a future, or what costs less than one."""

    def done(self) -> bool:
        """Whether the answer is not wanted any more."""

    def set_result(self, result: Wanted_contra, /) -> None: ...
    def set_exception(self, exception: BaseException, /) -> None: ...


class Batcher(Generic[Question, Answer]):
    """Asks questions in batches.

    Args:
        ask: answers a batch in the order of its questions. An exception goes to each question.
        together: the most questions of one batch.
        under_way: the most batches at a time.
    """

    def __init__(
        self,
        ask: Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]],
        *,
        together: int = MAX_TOGETHER,
        under_way: int = MAX_UNDER_WAY,
    ) -> None:
        self._ask = ask
        self._together = together
        self._most_under_way = under_way
        self._waiting: deque[tuple[Question, Waiter[Answer]]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._is_woken = False

    @property
    def waiting(self) -> int:
        """Questions that are in no batch yet."""
        return len(self._waiting)

    async def ask(self, question: Question) -> Answer:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self.put(question, answer)
        return await answer

    def put(self, question: Question, waiter: Waiter[Answer]) -> None:
        """Ask a question; the waiter gets the answer, or the exception."""
        self._waiting.append((question, waiter))
        if not self._is_woken and len(self._under_way) < self._most_under_way:
            # Send at the end of this event-loop iteration, together with what else it brings.
            self._is_woken = True
            asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        self._is_woken = False
        while self._waiting and len(self._under_way) < self._most_under_way:
            count = min(len(self._waiting), self._together)
            batch = [self._waiting.popleft() for _ in range(count)]
            task = asyncio.create_task(self._answer(batch))
            self._under_way.add(task)
            task.add_done_callback(self._returned)

    def _returned(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._send()

    async def _answer(self, batch: list[tuple[Question, Waiter[Answer]]]) -> None:
        # Skip callers who were cancelled while they waited.
        batch = [(question, waiter) for question, waiter in batch if not waiter.done()]
        if not batch:
            return
        try:
            answers = await self._ask([question for question, _ in batch])
            pairs = list(zip(batch, answers, strict=True))
        except BaseException as error:
            for _, waiter in batch:
                if not waiter.done():
                    waiter.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        for (_, waiter), answer in pairs:
            if not waiter.done():
                waiter.set_result(answer)
