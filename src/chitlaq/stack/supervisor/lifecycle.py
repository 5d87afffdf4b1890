"""One component's life: prepare, wait for dependencies, start, probe until ready, watch, restart."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from chitlaq.core.errors import MissingProgramError
from chitlaq.core.formatting import count
from chitlaq.core.host.programs import describe_exit
from chitlaq.core.installation.home import Home
from chitlaq.core.telemetry import multiprocess_metrics
from chitlaq.logs import rotation
from chitlaq.stack.servers import process_specs
from chitlaq.stack.supervisor import leftovers, probes
from chitlaq.stack.supervisor.fork_server import ForkServers
from chitlaq.stack.supervisor.instance import Instance, program_of
from chitlaq.stack.supervisor.process import Process, is_held, start
from chitlaq.stack.supervisor.release import Release

POLL_SECONDS = 0.05
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 15.0
CALM_SECONDS = 30.0
PREPARE_SECONDS = 60.0
RELOAD_SECONDS = 60.0
# A reload that has said what is wrong may still come right; after this it does not.
RELOAD_FAULT_SECONDS = 5.0


def pause_after(failures: int) -> float:
    """Seconds to wait before a restart after this many failures: exponential, bounded."""
    return float(min(FIRST_PAUSE_SECONDS * 2 ** min(failures, 10), LONGEST_PAUSE_SECONDS))


class Lifecycle:
    """Keeps components running.

    Args:
        home: the installation.
        environment: of the processes.
        instances: all components, some of which wait for others.
        fork_servers: start what is our own.
        note: writes to the supervisor's log.
    """

    def __init__(
        self,
        home: Home,
        environment: dict[str, str],
        instances: Mapping[str, Instance],
        fork_servers: ForkServers,
        note: Callable[[str], None],
    ) -> None:
        self._home = home
        self._environment = environment
        self._instances = instances
        self._fork_servers = fork_servers
        self._note = note

    async def keep(self, instance: Instance) -> None:
        """Keep one component running: start it, watch it, restart it when it exits."""
        while True:
            spec = instance.spec  # a restart may have brought another
            try:
                if not spec.is_needed:
                    await self._wait_for_needs(instance)
                instance.change("starting")
                await self._end_leftovers(instance)
                await self.prepare(instance)
                if not spec.starts_at_once:
                    await self._wait_for_needs(instance)
                instance.change("starting")
                process = await self.spawn(instance, spec.command)
                instance.process, instance.started_at = process, time.monotonic()
                if await self._until_ready(instance, process):
                    instance.failures = 0 if spec.once else instance.failures
                    if spec.once:
                        return
                    await self._watch(instance)
            except MissingProgramError as error:
                self._note(f"{spec.name}: {error}")
                instance.change("missing", str(error))
                instance.became_ready.set()
                return
            except OSError as error:
                self._note(f"{spec.name} cannot be started: {error}")
                instance.reason = str(error)
            except Exception as error:
                self._note(f"{spec.name}: {error}")
                instance.reason = str(error)
            await self._pause(instance)

    async def _wait_for_needs(self, instance: Instance) -> None:
        for need in self._needs(instance):
            if not need.became_ready.is_set():
                instance.change("waiting", f"for {need.spec.name}")
                await need.became_ready.wait()

    def _needs(self, instance: Instance) -> list[Instance]:
        wanted = instance.spec.waits_for
        return [other for other in self._instances.values() if other.spec.service in wanted]

    async def _end_leftovers(self, instance: Instance) -> None:
        """End what the component's last process has left running, which could stop the next one.

        Raises:
            OSError: it does not end.
        """
        name = instance.spec.name
        left = await asyncio.to_thread(leftovers.of, self._home, name)
        if not left:
            return
        self._note(
            f"{name} left {count(len(left), 'process', 'processes')} running, which are ended"
        )
        remaining = await asyncio.to_thread(leftovers.end, self._home, left)
        if remaining:
            raise OSError(f"it waits for what {name} left: {leftovers.listed(remaining)}")

    async def prepare(self, instance: Instance) -> None:
        """Prepare a start; this needs no other component.

        Raises:
            OSError: it failed.
        """
        spec = instance.spec
        if spec.prepare is not None:
            await asyncio.to_thread(spec.prepare)
        if spec.prepare_command is not None:
            process = await self.spawn(instance, spec.prepare_command)
            await asyncio.wait([process.exited], timeout=PREPARE_SECONDS)
            if not process.exited.done():
                await process.kill()
                raise OSError(f"its preparation did not end within {PREPARE_SECONDS:g} s")
            code = process.exited.result()
            if code != 0:
                said = " ".join(rotation.last_lines(instance.log.path, 1))
                raise OSError(f"its preparation failed ({describe_exit(code)}): {said}")

    async def reload(self, instance: Instance) -> None:
        """Have a running process load its configuration, which is rewritten and checked first.

        Raises:
            OSError: it goes on with the one that it had.
        """
        spec, process = instance.spec, instance.process
        assert process is not None
        assert spec.reload_signal is not None
        try:
            await self.prepare(instance)
        except OSError as error:
            raise OSError(f"{spec.name} goes on as it was: {error}") from None
        if spec.reloads is None:
            process.send(spec.reload_signal)
        else:
            before = await asyncio.to_thread(spec.reloads, process.pid)
            log, start = instance.log.path, _size(instance.log.path)
            process.send(spec.reload_signal)
            deadline = time.monotonic() + RELOAD_SECONDS
            while await asyncio.to_thread(spec.reloads, process.pid) == before:
                faults = _faults(log, start)
                if process.exited.done() or time.monotonic() > deadline:
                    reason = f" ({faults[0]})" if faults else ""
                    raise OSError(
                        f"{spec.name} did not take its new configuration and keeps the one before{reason}."
                        f" See `chitlaq logs {spec.service}`."
                    )
                if faults:
                    # It tries a few times to listen on a port that is taken.
                    deadline = min(deadline, time.monotonic() + RELOAD_FAULT_SECONDS)
                await asyncio.sleep(POLL_SECONDS)
        instance.restarts += 1
        self._note(f"{spec.name} was reloaded")

    async def spawn(
        self,
        instance: Instance,
        command: list[str] | Callable[[], list[str]],
        release: Release | None = None,
    ) -> Process:
        """Start a command of a component; one of ours in the version that the component has, or in another.

        Raises:
            OSError: it cannot be started.
        """
        spec, prefix = instance.spec, process_specs.chitlaq()
        if callable(command):
            # It may ask programs what they are, and those may not answer.
            command = await asyncio.to_thread(command)
        if command != spec.prepare_command:
            instance.command, instance.program = command, program_of(command)
        if command[: len(prefix)] == prefix:
            process = await self._fork_servers.of(release or instance.release).spawn(
                spec.name, command[len(prefix) :], instance.log.write
            )
            # A killed process cannot delete its gauges itself, and they would be added to the others'.
            folder = self._home.metrics(spec.service)
            process.exited.add_done_callback(
                lambda _: multiprocess_metrics.forget_gauges(folder, process.pid)
            )
            return process
        mark = leftovers.mark(self._home, spec.name)
        try:
            return start(
                command,
                self._environment,
                instance.log.write,
                mark=mark,
                folder=spec.folder,
            )
        finally:
            os.close(mark)

    async def _until_ready(self, instance: Instance, process: Process) -> bool:
        """Wait until a new process is ready, or a task is done; false if it exited before."""
        spec = instance.spec
        if spec.once:
            code = await process.exited
            if code == 0:
                instance.change("done")
                instance.became_ready.set()
            else:
                instance.reason = describe_exit(code)
            return code == 0
        await self._wait_for_needs_quietly(instance, process)
        while not process.exited.done():
            if spec.ready is None or await spec.ready(process.pid):
                instance.change("healthy")
                instance.became_ready.set()
                return True
            await asyncio.wait([process.exited], timeout=POLL_SECONDS)
        instance.reason = describe_exit(process.exited.result())
        return False

    async def _wait_for_needs_quietly(self, instance: Instance, process: Process) -> None:
        """A component that starts at once is ready only once its dependencies are."""
        for need in self._needs(instance):
            ready = asyncio.create_task(need.became_ready.wait())
            either: tuple[asyncio.Future[Any], ...] = (ready, process.exited)
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            ready.cancel()

    async def _watch(self, instance: Instance) -> None:
        """Return once the process has exited, or was killed because it missed too many probes.

        Those that it misses while the kernel holds it are not its fault.
        """
        missed = own = 0
        while instance.process is not None:
            process = instance.process
            await asyncio.wait([process.exited], timeout=probes.WATCH_SECONDS)
            if instance.process is not process:
                missed = own = 0  # a successor took over
                continue
            if process.exited.done():
                instance.reason = describe_exit(process.exited.result())
                return
            if instance.state == "stopping" or instance.spec.alive is None:
                continue
            if instance.is_being_replaced:
                missed = own = 0  # its successor takes over the socket
                continue
            answer = await instance.spec.alive(process.pid)
            missed = 0 if answer else missed + 1
            own = 0 if answer or is_held(process.pid) else own + 1
            if instance.process is process and not process.exited.done():
                self._judge(instance, missed, answer.fault)
            if own >= probes.MAX_MISSED_PROBES:
                self._note(f"{instance.spec.name} is killed after {own} missed probes")
                process.send(signal.SIGKILL)

    def _judge(self, instance: Instance, missed: int, fault: str) -> None:
        if missed:
            instance.change("unresponsive", count(missed, "missed probe"))
        elif fault:
            # Another process could not work either, so this one stays.
            instance.change("unable", fault)
        elif instance.state in {"unresponsive", "unable"}:
            instance.change("healthy")

    async def _pause(self, instance: Instance) -> None:
        """Wait before the next start: longer after each failure, short after a stable run."""
        if time.monotonic() - instance.started_at > CALM_SECONDS:
            instance.failures = 0
        seconds = pause_after(instance.failures)
        instance.failures += 1
        instance.restarts += 1
        name, reason = instance.spec.name, instance.reason
        self._note(f"{name} exited ({reason}); next start in {seconds:g} s")
        instance.change("backoff", f"{reason}; next start in {seconds:g} s")
        await asyncio.sleep(seconds)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _faults(log: Path, start: int) -> list[str]:
    """What nginx has said from a position of its log on that keeps it from starting or reloading."""
    with suppress(FileNotFoundError), log.open("rb") as file:
        file.seek(start if start <= _size(log) else 0)
        text = file.read().decode(errors="replace")
        return re.findall(r"\[emerg\] \d+#\d+: (.+)", text)
    return []
