"""Background tasks that run for as long as a process serves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

from chitlaq.core.telemetry import logs

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0

log = logs.get("tasks")

Work = Callable[[], Coroutine[Any, Any, None]]


@asynccontextmanager
async def running(*work: Work) -> AsyncIterator[None]:
    """Run these until the block ends; log one that fails and restart it after a pause."""
    tasks = [asyncio.create_task(_kept_running(one)) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _kept_running(work: Work) -> None:
    pause = FIRST_PAUSE_SECONDS
    while True:
        started = monotonic()
        try:
            await work()
        except Exception as error:
            # Not its repr: that of a partial has those of its arguments.
            name = getattr(work, "__qualname__", type(work).__name__)
            log.error("background task failed", task=name, fault=error)
        else:
            return
        if monotonic() - started > LONGEST_PAUSE_SECONDS:
            pause = FIRST_PAUSE_SECONDS
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
