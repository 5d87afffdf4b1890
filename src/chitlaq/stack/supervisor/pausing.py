"""What works with the database can be stopped for a while, as for a restore."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from chitlaq import inventory
from chitlaq.stack.supervisor import leftovers
from chitlaq.stack.supervisor.components import READY_SECONDS, Components
from chitlaq.stack.supervisor.instance import Instance

# ops-service, nginx and the observers show what is paused, and why.
PAUSABLE = frozenset(
    row.name
    for row in inventory.COMPONENTS.values()
    if row.kind in {"server", "task", "service", "archive"}
) - {"ops-service", "nginx"}


class Pause:
    """Whether something is paused, by whom and what for."""

    def __init__(self, components: Components) -> None:
        self._components = components
        self._reason = ""
        self._by: asyncio.StreamWriter | None = None

    def refuse(self, service: str) -> None:
        """Refuse to start what is paused.

        Raises:
            OSError: this component is.
        """
        if self._reason and service in PAUSABLE:
            raise OSError(f"{service} is stopped for {self._reason}: wait until that is over.")

    async def begin(self, reason: str, by: asyncio.StreamWriter) -> None:
        """Stop what works with the database, and keep it stopped. Can be repeated.

        Raises:
            OSError: something cannot be ended; what is stopped stays so.
        """
        self._by = by
        async with self._components.busy:
            self._reason = reason
            self._components.note(f"paused for {reason}")
            chosen = self._pausable()
            for instance in chosen:
                await self._components.cancel_keeper(instance.spec.name)
                instance.became_ready.clear()
            await self._components.stop_in_order(chosen)
            for instance in chosen:
                instance.change("stopped", f"for {reason}")
            if left := await asyncio.to_thread(self._left_of, chosen):
                raise OSError(f"These processes cannot be ended: {leftovers.listed(left)}.")

    async def end(self) -> None:
        """Start what is paused.

        Raises:
            OSError: something is not ready in time; the supervisor goes on.
        """
        async with self._components.busy:
            await self._start_paused()

    async def go_on_without(self, client: asyncio.StreamWriter) -> None:
        """Start what a client has paused that is gone, or say what has to be finished first."""
        if self._by is not client:
            return
        async with self._components.busy:
            if self._by is not client:
                return
            if self._components.home.pending_restore.exists():
                reason = (
                    f"for {self._reason}, which was interrupted:"
                    " `chitlaq backup restore --resume` finishes it"
                )
                self._components.note(f"paused {reason}")
                for instance in self._pausable():
                    instance.change("stopped", reason)
                return
            self._components.note(f"{self._reason} was interrupted before it began")
            with suppress(OSError):  # what is not ready says so itself
                await self._start_paused()

    async def _start_paused(self) -> None:
        if not self._reason:
            return
        self._components.note(f"{self._reason} is over")
        self._reason, self._by = "", None
        chosen = self._pausable()
        for instance in chosen:
            self._components.begin_to_keep(instance)
        needed = [one for one in chosen if one.spec.is_needed]
        try:
            async with asyncio.timeout(READY_SECONDS):
                await asyncio.gather(*(one.became_ready.wait() for one in needed))
        except TimeoutError:
            late = ", ".join(one.spec.name for one in needed if not one.became_ready.is_set())
            raise OSError(
                f"Not ready after {READY_SECONDS:g} s: {late}. The supervisor goes on: see `chitlaq ps`."
            ) from None

    def _pausable(self) -> list[Instance]:
        return [one for one in self._components.instances.values() if one.spec.service in PAUSABLE]

    def _left_of(self, chosen: Sequence[Instance]) -> dict[int, str]:
        """End what these have left running; return what cannot be ended."""
        names = {one.spec.name for one in chosen}
        left = [
            pid for pid, name in leftovers.marked(self._components.home).items() if name in names
        ]
        return leftovers.end(self._components.home, left, is_graceful=True)
