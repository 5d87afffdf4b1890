"""The components of a running stack: each is kept running, and all are stopped in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from chitlaq.core.installation.home import Home
from chitlaq.stack.supervisor import leftovers
from chitlaq.stack.supervisor.control import Status
from chitlaq.stack.supervisor.instance import Instance
from chitlaq.stack.supervisor.lifecycle import Lifecycle
from chitlaq.stack.supervisor.process import Process
from chitlaq.stack.supervisor.release import Release

# A command waits no longer for a component to be ready; the supervisor does.
READY_SECONDS = 60.0


class Components:
    """What runs, or should.

    Args:
        home: the installation.
        instances: all components by name, in display order.
        lifecycle: keeps one running.
        release: the version of our own processes, until another one is brought.
        note: writes to the supervisor's log.
    """

    def __init__(
        self,
        home: Home,
        instances: dict[str, Instance],
        lifecycle: Lifecycle,
        release: Release,
        note: Callable[[str], None],
    ) -> None:
        self.home = home
        self.instances = instances
        self.lifecycle = lifecycle
        self.release = release
        self.note = note
        self.busy = asyncio.Lock()
        """Held by the one command that changes what runs."""
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._is_ending = False

    def statuses(self) -> list[Status]:
        return [instance.status() for instance in self.instances.values()]

    def begin_to_keep(self, instance: Instance) -> None:
        """Have a component started, and started again whenever it exits.

        Raises:
            OSError: everything is being stopped.
        """
        self.refuse_at_the_end()
        instance.became_ready.clear()
        self._keepers[instance.spec.name] = asyncio.create_task(self.lifecycle.keep(instance))

    def refuse_at_the_end(self) -> None:
        """Refuse to start something.

        Raises:
            OSError: everything is being stopped.
        """
        if self._is_ending:
            raise OSError("ChitLaq is being stopped.")

    async def cancel_keeper(self, name: str) -> None:
        keeper = self._keepers.pop(name, None)
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait([keeper])

    async def end_keeping(self) -> None:
        """Start nothing from now on, also not what exits."""
        self._is_ending = True
        for keeper in self._keepers.values():
            keeper.cancel()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)

    async def stop_process(self, instance: Instance, process: Process) -> None:
        """Stop a component's process with all that it has started.

        Raises:
            OSError: it cannot be ended.
        """
        spec = instance.spec
        instance.change("stopping")
        # PostgreSQL waits for its backends, also for one that is stopped (SIGSTOP).
        leftovers.resume(await asyncio.to_thread(leftovers.of, self.home, spec.name))
        await process.stop(spec.stop_signal, spec.grace_seconds)

    async def stop(self, instance: Instance) -> None:
        if instance.process is not None and not instance.process.exited.done():
            try:
                await self.stop_process(instance, instance.process)
            except OSError as error:
                self.note(f"{instance.spec.name}: {error}")
        instance.change("stopped")

    async def stop_in_order(self, remaining: list[Instance]) -> None:
        """Stop these, dependents before their dependencies."""
        while remaining:
            needed = {need for instance in remaining for need in instance.spec.waits_for}
            layer = [i for i in remaining if i.spec.service not in needed]
            await asyncio.gather(*(self.stop(instance) for instance in layer))
            remaining = [instance for instance in remaining if instance not in layer]
