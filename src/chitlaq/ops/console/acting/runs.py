"""Actions that the console carries out: they go on when the browser leaves, and their output can be read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from chitlaq.core.telemetry import logs
from chitlaq.ops.actions import record
from chitlaq.ops.actions.model import ActionContext, ActionRecord
from chitlaq.ops.console.acting import detached
from chitlaq.ops.console.acting.plans import Plan
from chitlaq.ops.database.database import OpsDatabase

REMEMBERED = 50
END_SECONDS = 1.0
OWN_NAME = "ops-service"

Doing = Callable[[ActionContext, str], Coroutine[Any, Any, str]]

log = logs.get("console")


@dataclass(slots=True)
class Run:
    """An action that was begun here; its record is in the operations database, too."""

    record: ActionRecord
    lines: list[str] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_over(self) -> bool:
        return self.record.ended_at is not None

    def say(self, text: str) -> None:
        self.lines.append(text)
        self.changed.set()
        self.changed = asyncio.Event()


class Runs:
    """The actions that this process has begun."""

    def __init__(self, database: OpsDatabase) -> None:
        self._database = database
        self._runs: dict[UUID, Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending = asyncio.Event()

    def begin(self, plan: Plan, context: ActionContext, operator: str, reason: str) -> Run:
        """Begin to carry out a plan."""
        run = Run(record.begun(plan.action.name, plan.target, operator, reason))
        loop = asyncio.get_running_loop()
        # Actions wait in threads.
        told = replace(context, say=lambda text: void(loop.call_soon_threadsafe(run.say, text)))
        task = asyncio.create_task(self._carry_out(run, plan, told))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        over = [key for key, one in self._runs.items() if one.is_over]
        for key in over[: max(0, len(self._runs) - REMEMBERED)]:
            del self._runs[key]
        self._runs[run.record.id] = run
        return run

    async def _carry_out(self, run: Run, plan: Plan, context: ActionContext) -> None:
        action = plan.action
        if plan.target == OWN_NAME:
            action = replace(action, do=self._told_before_the_end(action.do))
        try:
            if action.is_detached:
                run.record = await detached.carry_out(
                    context.home, run.record, run.say, self._database
                )
            else:
                run.record = await record.carry_out(action, context, run.record, self._database)
        except Exception as error:
            log.error("action failed", action=action.name, fault=error)
            run.record = record.ended(run.record, f"interrupted: {error!r}", succeeded=False)
        run.say("")

    def _told_before_the_end(self, do: Doing) -> Doing:
        """What restarts this very process is never told that it succeeded: the process is gone by then."""

        async def done(context: ActionContext, target: str) -> str:
            doing = asyncio.ensure_future(do(context, target))
            ending = asyncio.ensure_future(self._ending.wait())
            await asyncio.wait({doing, ending}, return_when=asyncio.FIRST_COMPLETED)
            ending.cancel()
            return await doing if doing.done() else "the new process has taken over from this one"

        return done

    def find(self, identifier: UUID) -> Run | None:
        return self._runs.get(identifier)

    async def output(self, run: Run) -> AsyncIterator[str]:
        """Yield what an action says while it goes on, then its output."""
        told = 0
        while True:
            changed = run.changed
            for line in run.lines[told:]:
                if line:
                    yield line + "\n"
            told = len(run.lines)
            if run.is_over:
                break
            await changed.wait()
        yield run.record.output.rstrip("\n") + "\n"

    async def close(self) -> None:
        """Interrupt what goes on, but for what has a process of its own: this one ends."""
        self._ending.set()
        if self._tasks:
            _, interrupted = await asyncio.wait(self._tasks, timeout=END_SECONDS)
            for task in interrupted:
                task.cancel()
            await asyncio.gather(*interrupted, return_exceptions=True)


def void(_: object) -> None:
    """Discard a value."""
