"""Background tasks come back after a fault, soon unless they fail again and again."""

from __future__ import annotations

import asyncio

import pytest

from chitlaq.core import tasks


async def test_pause_grows_only_while_a_task_keeps_failing(monkeypatch: pytest.MonkeyPatch) -> None:
    now, pauses = 0.0, []
    lasts = iter([0, 0, 0, 3600, 0])

    async def work() -> None:
        nonlocal now
        now += next(lasts, 0)
        raise ValueError

    slept, own = asyncio.sleep, asyncio.current_task()

    async def sleep(seconds: float) -> None:
        if asyncio.current_task() is own:
            pauses.append(seconds)
            if len(pauses) == 5:
                raise asyncio.CancelledError
        else:
            # A task that another test has left must not run for ever.
            await slept(seconds)

    monkeypatch.setattr(tasks, "monotonic", lambda: now)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await tasks._kept_running(work)
    assert pauses == [1, 2, 4, 1, 2]
