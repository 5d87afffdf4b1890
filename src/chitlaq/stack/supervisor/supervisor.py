"""The process that starts, watches, restarts and stops all others.

Why we do not use an existing process manager: docs/decisions/0001-own-supervisor.md.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from chitlaq import inventory
from chitlaq.core.errors import MissingProgramError
from chitlaq.core.formatting import count
from chitlaq.core.host.programs import describe_exit
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import multiprocess_metrics
from chitlaq.logs import rotation
from chitlaq.logs.rotation import LogFile
from chitlaq.stack.servers import process_specs
from chitlaq.stack.servers.process_specs import ProcessSpec
from chitlaq.stack.supervisor import control, probes
from chitlaq.stack.supervisor.control import State, Status
from chitlaq.stack.supervisor.fork_server import ForkServer
from chitlaq.stack.supervisor.process import Process, adopt_orphans, start

POLL_SECONDS = 0.05
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 15.0
CALM_SECONDS = 30.0
TEND_LOGS_SECONDS = 5.0
# New connections reach the successor; those queued at the predecessor get this long.
HANDOVER_SECONDS = 0.3


def pause_after(failures: int) -> float:
    """Seconds to wait before a restart after this many failures: exponential, bounded."""
    return float(min(FIRST_PAUSE_SECONDS * 2 ** min(failures, 10), LONGEST_PAUSE_SECONDS))


class Instance:
    """The current state of one component."""

    def __init__(self, spec: ProcessSpec, log: LogFile) -> None:
        self.spec = spec
        self.log = log
        self.state: State = "waiting"
        self.reason = ""
        self.restarts = 0
        self.process: Process | None = None
        self.started_at = 0.0
        self.became_ready = asyncio.Event()
        self.failures = 0

    def status(self) -> Status:
        spec = self.spec
        running = self.process is not None and not self.process.exited.done()
        return Status(
            service=spec.service,
            worker=spec.worker,
            state=self.state,
            pid=self.process.pid if running and self.process else None,
            restarts=self.restarts,
            uptime=int(time.monotonic() - self.started_at) if running else 0,
            port=spec.port,
            reason=self.reason,
            is_needed=spec.is_needed,
        )

    def change(self, state: State, reason: str = "") -> None:
        self.state, self.reason = state, reason


class Supervisor:
    def __init__(self, home: Home, settings: Settings) -> None:
        self._home = home
        self._settings = settings
        self._environment = dict(os.environ, CHITLAQ_HOME=str(home.root), PYTHONUNBUFFERED="1")
        declared = process_specs.declare(home, settings)
        self._logs = {name: self._open_log(name) for name in {c.service for c in declared}}
        self._instances = {c.name: Instance(c, self._logs[c.service]) for c in declared}
        self._own_log = self._open_log("supervisor")
        self._fork_server = ForkServer(
            process_specs.chitlaq("fork-server"), self._environment, self._own_log.write
        )
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._stopping: asyncio.Future[None] | None = None
        self._ended = asyncio.Event()
        self._busy = asyncio.Lock()

    async def run(self) -> None:
        """Run the stack until a signal, a command or a closed terminal stops it."""
        adopt_orphans()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._begin_stop)
        self._fork_server.open()
        for name, instance in self._instances.items():
            self._keepers[name] = asyncio.create_task(self._keep(instance))
        server = await asyncio.start_unix_server(
            self._serve, str(self._home.control_socket), limit=control.MAX_LINE
        )
        self._home.control_socket.chmod(0o600)
        tending = asyncio.create_task(self._tend_logs())
        self._note("supervisor started")
        await self._ended.wait()
        tending.cancel()
        self._home.control_socket.unlink(missing_ok=True)
        server.close()
        self._note("supervisor stopped")

    # --- one component's life

    async def _keep(self, instance: Instance) -> None:
        """Keep one component running: start it, watch it, restart it when it exits."""
        spec = instance.spec
        while True:
            try:
                if not spec.is_needed:
                    await self._wait_for_needs(instance)
                instance.change("starting")
                await self._prepare(instance)
                if not spec.starts_at_once:
                    await self._wait_for_needs(instance)
                instance.change("starting")
                process = await self._spawn(instance, spec.command)
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

    async def _prepare(self, instance: Instance) -> None:
        """Prepare a start; this needs no other component.

        Raises:
            OSError: it failed.
        """
        spec = instance.spec
        if spec.prepare is not None:
            await asyncio.to_thread(spec.prepare)
        if spec.prepare_command is not None:
            process = await self._spawn(instance, spec.prepare_command)
            code = await process.exited
            if code != 0:
                raise OSError(f"its preparation failed: {describe_exit(code)}")

    async def _spawn(
        self, instance: Instance, command: list[str] | Callable[[], list[str]]
    ) -> Process:
        spec, prefix = instance.spec, process_specs.chitlaq()
        if callable(command):
            command = command()
        if command[: len(prefix)] == prefix:
            process = await self._fork_server.spawn(command[len(prefix) :], instance.log.write)
            # A killed process cannot delete its gauges itself, and they would be added to the others'.
            folder = self._home.metrics(spec.service)
            process.exited.add_done_callback(
                lambda _: multiprocess_metrics.forget_gauges(folder, process.pid)
            )
            return process
        return start(
            command, self._environment, instance.log.write, user=spec.user, folder=spec.folder
        )

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
        """Return once the process has exited, or was killed because it missed too many probes."""
        missed = 0
        while instance.process is not None:
            process = instance.process
            await asyncio.wait([process.exited], timeout=probes.WATCH_SECONDS)
            if instance.process is not process:
                missed = 0  # a successor took over
                continue
            if process.exited.done():
                process.kill_group()
                instance.reason = describe_exit(process.exited.result())
                return
            if instance.state == "stopping" or instance.spec.alive is None:
                continue
            missed = 0 if await instance.spec.alive(process.pid) else missed + 1
            if instance.process is process and not process.exited.done():
                self._judge(instance, missed)
            if missed >= probes.MAX_MISSED_PROBES:
                self._note(f"{instance.spec.name} is killed after {missed} missed probes")
                process.send(signal.SIGKILL)

    def _judge(self, instance: Instance, missed: int) -> None:
        if missed:
            instance.change("unresponsive", count(missed, "missed probe"))
        elif instance.state == "unresponsive":
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

    # --- commands

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of a command, line by line."""
        try:
            while line := await reader.readline():
                answer, is_attached = await self._answer(line)
                writer.write(msgspec.json.encode(answer) + b"\n")
                await writer.drain()
                if is_attached:
                    await reader.read()
                    self._note("the terminal was closed")
                    self._begin_stop()
        except (OSError, ValueError):
            pass  # the client disconnected, or its line is too long
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> tuple[control.Answer, bool]:
        try:
            command = control.decode(line)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            return control.Answer(error=f"Not a command: {error}"), False
        try:
            if isinstance(command, control.Restart):
                await self._restart(command.service)
            elif isinstance(command, control.Rotate):
                await self._rotate(moved=command.moved)
            elif isinstance(command, control.Stop):
                self._begin_stop()
                assert self._stopping is not None
                await asyncio.shield(self._stopping)
        except OSError as error:
            return control.Answer(self._statuses(), str(error)), False
        return control.Answer(self._statuses()), isinstance(command, control.Attach)

    def _statuses(self) -> list[Status]:
        return [instance.status() for instance in self._instances.values()]

    async def _restart(self, service: str) -> None:
        """Restart one component's processes in turn, without losing a request.

        Raises:
            OSError: the component is unknown, or its successor did not become ready.
        """
        chosen = [i for i in self._instances.values() if i.spec.service == service]
        if not chosen or any(instance.spec.once for instance in chosen):
            names = [row.name for row in inventory.COMPONENTS.values() if row.kind != "task"]
            raise OSError(f"There is no component {service}; there are {', '.join(names)}.")
        async with self._busy:
            for instance in chosen:
                running = instance.process is not None and not instance.process.exited.done()
                if running and instance.spec.is_replaceable:
                    await self._replace(instance)
                elif running and instance.spec.reload_signal is not None:
                    await self._reload(instance)
                else:
                    await self._stop_and_start(instance)

    async def _replace(self, instance: Instance) -> None:
        """Start a successor beside a running process, and stop that one once it is ready."""
        spec, old = instance.spec, instance.process
        assert old is not None
        new = await self._spawn(instance, spec.command)
        while spec.ready is not None and not await spec.ready(new.pid):
            if new.exited.done():
                reason = describe_exit(new.exited.result())
                raise OSError(f"The new {spec.name} exited ({reason}); the old one keeps running.")
            await asyncio.sleep(POLL_SECONDS)
        instance.process, instance.started_at = new, time.monotonic()
        instance.restarts += 1
        instance.change("healthy")
        await asyncio.sleep(HANDOVER_SECONDS)
        await old.stop(spec.stop_signal, spec.grace_seconds)
        self._note(f"{spec.name} was replaced")

    async def _reload(self, instance: Instance) -> None:
        """Have a running process load its configuration, which is rewritten and checked first."""
        spec, process = instance.spec, instance.process
        assert process is not None
        assert spec.reload_signal is not None
        await self._prepare(instance)
        process.send(spec.reload_signal)
        instance.restarts += 1
        self._note(f"{spec.name} was reloaded")

    async def _stop_and_start(self, instance: Instance) -> None:
        spec, process = instance.spec, instance.process
        keeper = self._keepers[spec.name]
        keeper.cancel()
        if process is not None:
            instance.change("stopping")
            await process.stop(spec.stop_signal, spec.grace_seconds)
        instance.became_ready.clear()
        instance.restarts += 1
        self._keepers[spec.name] = asyncio.create_task(self._keep(instance))
        await instance.became_ready.wait()

    # --- the end

    def _begin_stop(self) -> None:
        if self._stopping is None:
            self._stopping = asyncio.ensure_future(self._stop())

    async def _stop(self) -> None:
        """Stop everything, dependents before their dependencies."""
        for keeper in self._keepers.values():
            keeper.cancel()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)
        remaining = list(self._instances.values())
        while remaining:
            needed = {need for instance in remaining for need in instance.spec.waits_for}
            layer = [i for i in remaining if i.spec.service not in needed]
            await asyncio.gather(*(self._stop_instance(instance) for instance in layer))
            remaining = [instance for instance in remaining if instance not in layer]
        self._fork_server.close()
        for log in self._logs.values():
            log.close()
        asyncio.get_running_loop().call_later(0.1, self._ended.set)

    async def _stop_instance(self, instance: Instance) -> None:
        if instance.process is not None and not instance.process.exited.done():
            instance.change("stopping")
            spec = instance.spec
            await instance.process.stop(spec.stop_signal, spec.grace_seconds)
        instance.change("stopped")

    # --- logs

    def _open_log(self, service: str) -> LogFile:
        path = self._home.logs / f"{service}.log"
        return LogFile(path, self._settings.logs.max_bytes, self._settings.logs.keep_files)

    def _note(self, text: str) -> None:
        line = {
            "timestamp": datetime.now(UTC),
            "level": "info",
            "service": "supervisor",
            "event": text,
        }
        self._own_log.write(msgspec.json.encode(line) + b"\n")

    async def _rotate(self, *, moved: bool) -> None:
        """Start new log files; the old ones are moved first, unless logrotate has done so."""
        for log in (*self._logs.values(), self._own_log):
            if moved:
                log.reopen()
            elif log.path.stat().st_size:
                log.rotate()
        path = self._home.access_log
        if not moved and path.exists() and path.stat().st_size:
            await asyncio.to_thread(rotation.rotate, path, self._settings.logs.keep_files)
        self._reopen_access_log()

    def _reopen_access_log(self) -> None:
        nginx = self._instances["nginx"].process
        if nginx is not None:
            nginx.send(signal.SIGUSR1)

    async def _tend_logs(self) -> None:
        """Write what waits for space, and rotate the access log, which nginx writes itself."""
        path = self._home.access_log
        day = rotation.last_day(path) or rotation.local_day()
        while True:
            await asyncio.sleep(TEND_LOGS_SECONDS)
            self._flush_logs()
            today, before = rotation.local_day(), day
            day = today
            try:
                if await asyncio.to_thread(self._is_due, path, is_new_day=today != before):
                    await asyncio.to_thread(rotation.rotate, path, self._settings.logs.keep_files)
                    self._reopen_access_log()
            except OSError as error:
                self._note(f"{path.name} cannot be rotated: {error}")
                day = before

    def _is_due(self, path: Path, *, is_new_day: bool) -> bool:
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            return False
        return size >= self._settings.logs.max_bytes or (is_new_day and size > 0)

    def _flush_logs(self) -> None:
        for log in (*self._logs.values(), self._own_log):
            log.flush()
            if log.fault is None and log.lost_bytes:
                self._note(
                    f"{log.lost_bytes} bytes of {log.path.name} were lost: its disk was full"
                )
                log.lost_bytes = 0


def supervise(home: Home, settings: Settings) -> None:
    """Run as this home's supervisor, unless there is one already."""
    for folder in (home.run, home.logs):
        folder.mkdir(parents=True, exist_ok=True)
    with (home.run / "supervisor.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("Another supervisor runs here already.")
        home.control_socket.unlink(missing_ok=True)
        # Counters restart at each start of the stack, as Prometheus expects.
        for file in (home.run / "metrics").glob("*/*.db"):
            file.unlink(missing_ok=True)
        with asyncio.Runner() as runner:
            runner.run(_main(home, settings))


async def _main(home: Home, settings: Settings) -> None:
    await Supervisor(home, settings).run()
