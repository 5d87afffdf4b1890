"""How one process is restarted: replaced by a successor, reloaded, or stopped and started."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

from chitlaq.core.host.programs import describe_exit
from chitlaq.logs.rotation import LogFile
from chitlaq.stack.servers.process_specs import ProcessSpec
from chitlaq.stack.supervisor.components import READY_SECONDS, Components
from chitlaq.stack.supervisor.instance import Instance, program_of
from chitlaq.stack.supervisor.lifecycle import POLL_SECONDS
from chitlaq.stack.supervisor.process import Process
from chitlaq.stack.supervisor.release import Release

# New connections reach the successor; those queued at the predecessor get this long.
HANDOVER_SECONDS = 0.3


class Restarts:
    """Restarts single processes.

    Args:
        components: what runs.
        logs: where each component's output goes.
    """

    def __init__(self, components: Components, logs: Mapping[str, LogFile]) -> None:
        self._components = components
        self._logs = logs

    async def apply(self, instance: Instance, spec: ProcessSpec) -> None:
        """Restart with what the settings say now; the old specification stays if the old process does."""
        before, process = instance.spec, instance.process
        instance.spec = spec
        try:
            await self._restart(instance)
        except OSError:
            if process is instance.process and process is not None and not process.exited.done():
                instance.spec = before
            raise

    async def bring_to(self, instance: Instance, release: Release) -> None:
        """Replace a service's process by one of another version; one that does not run is started in it.

        Raises:
            OSError: its successor did not become ready; the old one keeps running if it did.
        """
        self._components.refuse_at_the_end()
        if instance.process is not None and not instance.process.exited.done():
            await self._replace(instance, release)
        else:
            instance.release = release
            await self._stop_and_start(instance)

    async def add(self, spec: ProcessSpec, order: Sequence[str]) -> None:
        """Start one more worker."""
        instance = Instance(spec, self._logs[spec.service], self._components.release)
        every = self._components.instances | {spec.name: instance}
        self._components.instances.clear()
        self._components.instances |= sorted(every.items(), key=lambda item: _place(item[0], order))
        await self._stop_and_start(instance)

    async def remove(self, instance: Instance) -> None:
        """Stop a worker that the settings no longer require."""
        spec = instance.spec
        await asyncio.sleep(HANDOVER_SECONDS)
        await self._components.cancel_keeper(spec.name)
        await self._components.stop(instance)
        del self._components.instances[spec.name]
        self._components.home.service_socket(spec.service, spec.worker).unlink(missing_ok=True)
        self._components.note(f"{spec.name} was removed")

    async def tell_edge(self) -> None:
        """Have nginx learn which workers there are; one that does not run learns it when it starts.

        Raises:
            OSError: it could not. Those that it knows keep running, and the next restart tries again.
        """
        nginx = self._components.instances["nginx"]
        if nginx.process is None or nginx.process.exited.done():
            # Its configuration may have been written already, for a start that is under way.
            await self._components.cancel_keeper(nginx.spec.name)
            self._components.begin_to_keep(nginx)
        else:
            try:
                await self._restart(nginx)
            except OSError as error:
                raise OSError(
                    f"nginx could not be told which workers there are: {error.strerror or error}. It keeps"
                    " those that it knows. See `chitlaq logs nginx`; then the same command tries again."
                ) from None

    async def _restart(self, instance: Instance) -> None:
        spec, process = instance.spec, instance.process
        if process is None or process.exited.done():
            await self._stop_and_start(instance)
        elif spec.is_replaceable:
            await self._replace(instance, instance.release)
        elif spec.reload_signal is not None and not await self._has_other_command(instance):
            await self._components.lifecycle.reload(instance)
        else:
            await self._stop_and_start(instance)

    async def _replace(self, instance: Instance, release: Release) -> None:
        """Start a successor beside a running process, and stop that one once it is ready."""
        spec, old = instance.spec, instance.process
        assert old is not None
        new = await self._components.lifecycle.spawn(instance, spec.command, release)
        instance.is_being_replaced, instance.reason = True, "its successor starts"
        try:
            await self._until_it_can_take_over(spec, new, old)
        finally:
            instance.is_being_replaced, instance.reason = False, ""
        instance.process, instance.started_at = new, time.monotonic()
        instance.release = release
        instance.restarts += 1
        instance.change("healthy")
        await asyncio.sleep(HANDOVER_SECONDS)
        await old.stop(spec.stop_signal, spec.grace_seconds)
        self._components.note(f"{spec.name} was replaced")

    async def _until_it_can_take_over(self, spec: ProcessSpec, new: Process, old: Process) -> None:
        """Wait until a successor is ready.

        Raises:
            OSError: it is not, and has ended.
        """
        deadline = time.monotonic() + READY_SECONDS
        while spec.ready is not None and not await spec.ready(new.pid):
            if new.exited.done():
                reason = describe_exit(new.exited.result())
                now = "another one is started" if old.exited.done() else "the old one keeps running"
                raise OSError(f"The new {spec.name} exited ({reason}); {now}.")
            if time.monotonic() > deadline:
                await new.kill()
                raise OSError(
                    f"The new {spec.name} was not ready within {READY_SECONDS:g} s, and was ended; the"
                    f" old one keeps running. See `chitlaq logs {spec.service}`."
                )
            await asyncio.sleep(POLL_SECONDS)

    async def _stop_and_start(self, instance: Instance) -> None:
        spec, process = instance.spec, instance.process
        await self._components.cancel_keeper(spec.name)
        try:
            if process is not None:
                await self._components.stop_process(instance, process)
        finally:
            # Also if it cannot be ended: the keeper says so, and tries again.
            instance.restarts += 1
            self._components.begin_to_keep(instance)
        try:
            async with asyncio.timeout(READY_SECONDS):
                await instance.became_ready.wait()
        except TimeoutError:
            reason = f", {instance.reason}" if instance.reason else ""
            raise OSError(
                f"{spec.name} is not ready after {READY_SECONDS:g} s ({instance.state}{reason}). The"
                f" supervisor goes on: see `chitlaq ps` and `chitlaq logs {spec.service}`."
            ) from None

    async def _has_other_command(self, instance: Instance) -> bool:
        """Whether its command line or its program is another now, which no reload applies."""
        command = instance.spec.command
        if callable(command):
            command = await asyncio.to_thread(command)
        return command != instance.command or program_of(command) != instance.program


def _place(name: str, order: Sequence[str]) -> int:
    return order.index(name) if name in order else len(order)
