"""The process that starts, watches, restarts and stops all others.

Why we do not use an existing process manager: docs/decisions/0001-own-supervisor.md.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from chitlaq import __version__, inventory
from chitlaq.core.errors import OperatorError
from chitlaq.core.host.process_title import set_title
from chitlaq.core.host.programs import describe_exit
from chitlaq.core.installation import settings_loading
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import to_text
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.stack.servers import process_specs
from chitlaq.stack.servers.process_specs import ProcessSpec
from chitlaq.stack.supervisor import control, leftovers, reloading
from chitlaq.stack.supervisor.component_logs import ComponentLogs
from chitlaq.stack.supervisor.control import Status
from chitlaq.stack.supervisor.fork_server import ForkServer
from chitlaq.stack.supervisor.instance import Instance, program_of
from chitlaq.stack.supervisor.lifecycle import POLL_SECONDS, Lifecycle
from chitlaq.stack.supervisor.process import Process, adopt_orphans, is_waited_for
from chitlaq.stack.supervisor.service_manager import ServiceManager

TEND_SECONDS = 5.0
FETCH_SECONDS = 86_400.0
RENEW_SECONDS = 600.0
# New connections reach the successor; those queued at the predecessor get this long.
HANDOVER_SECONDS = 0.3
# A command waits no longer for a component to be ready; the supervisor does.
READY_SECONDS = 60.0
# ops-service, nginx and the observers show what is paused, and why.
PAUSABLE = frozenset(
    row.name
    for row in inventory.COMPONENTS.values()
    if row.kind in {"server", "task", "service", "archive"}
) - {"ops-service", "nginx"}


class Supervisor:
    def __init__(self, home: Home, settings: Settings) -> None:
        self._home = home
        self._settings = settings
        self._manager = ServiceManager()
        self._environment = dict(os.environ, CHITLAQ_HOME=str(home.root), PYTHONUNBUFFERED="1")
        declared = process_specs.declare(home, settings)
        self._logs = ComponentLogs(
            home, settings.logs, {c.service for c in declared}, self._reopen_access_log
        )
        self._note = self._logs.note
        self._instances = {c.name: Instance(c, self._logs.of[c.service]) for c in declared}
        self._applied = {reloading.SUPERVISOR: settings} | {c.service: settings for c in declared}
        self._fork_server = ForkServer(
            process_specs.chitlaq("fork-server"),
            self._environment,
            self._logs.own.write,
            partial(leftovers.mark, home),
        )
        self._lifecycle = Lifecycle(
            home, self._environment, self._instances, self._fork_server, self._note
        )
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._stopping: asyncio.Future[dict[int, str]] | None = None
        self._ended = asyncio.Event()
        self._busy = asyncio.Lock()
        self._is_edge_behind = False
        self._paused_for = ""
        self._paused_by: asyncio.StreamWriter | None = None
        self._commands: set[asyncio.Task[Any]] = set()

    async def run(self) -> None:
        """Run the stack until a signal, a command or a closed terminal stops it."""
        adopt_orphans()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._begin_stop)
        loop.add_signal_handler(signal.SIGHUP, self._begin_reload)
        self._fork_server.open()
        for name, instance in self._instances.items():
            self._keepers[name] = asyncio.create_task(self._lifecycle.keep(instance))
            if instance.spec.fetch is not None:
                # Not of the loop's own threads: the end does not wait for it.
                arguments = (loop, name, instance.spec.fetch)
                threading.Thread(target=self._fetch_forever, args=arguments, daemon=True).start()
            if instance.spec.renew is not None:
                self._keepers[f"{name} renewed"] = asyncio.create_task(
                    self._renew_forever(instance)
                )
        server = await asyncio.start_unix_server(
            self._serve, str(self._home.control_socket), limit=control.MAX_LINE
        )
        self._home.control_socket.chmod(0o600)
        telling = asyncio.create_task(self._manager.follow(self._statuses))
        tending = asyncio.create_task(self._tend())
        self._note("supervisor started")
        await self._ended.wait()
        tending.cancel()
        telling.cancel()
        self._home.control_socket.unlink(missing_ok=True)
        server.close()
        self._note("supervisor stopped")

    def _fetch_forever(
        self, loop: asyncio.AbstractEventLoop, name: str, fetch: Callable[[], None]
    ) -> None:
        """Fetch a better program for the next start, at once and every day; the present one runs on."""
        with suppress(RuntimeError):  # the loop has ended
            while True:
                try:
                    fetch()
                except (OSError, OperatorError) as error:
                    loop.call_soon_threadsafe(self._note, f"{name}: {error}")
                time.sleep(FETCH_SECONDS)

    async def _renew_forever(self, instance: Instance) -> None:
        """Renew what a component has read at its start, and let it read that anew when it is another."""
        seen: str | None = None
        while True:
            # An authority asks the component itself whether a name is ours.
            await instance.became_ready.wait()
            spec = instance.spec
            assert spec.renew is not None
            assert spec.read is not None
            try:
                seen = seen or await asyncio.to_thread(spec.read)
                try:
                    await asyncio.to_thread(spec.renew)
                finally:
                    found = await asyncio.to_thread(spec.read)
                    if found != seen:
                        await self._restart(spec.service)
                    seen = found
            except (OSError, OperatorError) as error:
                self._note(f"{spec.name}: {error}")
            await asyncio.sleep(RENEW_SECONDS)

    # --- commands

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of a command, line by line."""
        try:
            while line := await reader.readline():
                # It goes on if the client leaves.
                running = asyncio.create_task(self._answer(line, writer))
                self._commands.add(running)
                running.add_done_callback(self._commands.discard)
                while not (await asyncio.wait([running], timeout=control.PROGRESS_SECONDS))[0]:
                    writer.write(_line(control.Answer(waiting=self._waits_for())))
                    await writer.drain()
                answer, is_attached = running.result()
                writer.write(_line(answer))
                await writer.drain()
                if is_attached:
                    await reader.read()
                    self._note("the terminal was closed")
                    self._begin_stop()
        except (OSError, ValueError):
            pass  # the client disconnected, or its line is too long
        finally:
            writer.close()
            if self._paused_by is writer:
                await self._go_on_without(writer)

    def _waits_for(self) -> str:
        """What a running command waits for, as far as it is known."""
        unfinished = [
            f"{status.name} ({status.state}{', ' if status.reason else ''}{status.reason})"
            for status in self._statuses()
            if status.state in {"stopping", "starting", "waiting", "backoff"}
            or (status.state == "healthy" and status.reason)
        ]
        return ", ".join(unfinished) or "it to finish"

    async def _answer(
        self, line: bytes, client: asyncio.StreamWriter
    ) -> tuple[control.Answer, bool]:
        try:
            command = control.decode(line)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            return control.Answer(error=f"Not a command: {error}"), False
        try:
            if isinstance(command, control.Restart):
                await self._restart(command.service)
            elif isinstance(command, control.Reload):
                return control.Answer(changes=await self._reload(command)), False
            elif isinstance(command, control.Rotate):
                await self._logs.rotate(moved=command.moved)
            elif isinstance(command, control.Pause):
                self._paused_by = client
                await self._pause(command.reason)
            elif isinstance(command, control.Continue):
                await self._continue()
            elif isinstance(command, control.Stop):
                self._begin_stop()
                assert self._stopping is not None
                if remaining := await asyncio.shield(self._stopping):
                    raise OSError(
                        f"These processes cannot be ended: {leftovers.listed(remaining)}."
                    )
        except (OSError, OperatorError) as error:
            return control.Answer(self._statuses(), str(error)), False
        except Exception as error:
            self._note(f"{command} failed: {error!r}")
            return control.Answer(self._statuses(), f"Unexpected: {error!r}"), False
        if isinstance(command, control.InEffect):
            return control.Answer(settings=self._settings, version=__version__), False
        return control.Answer(self._statuses()), isinstance(command, control.Attach)

    def _statuses(self) -> list[Status]:
        return [instance.status() for instance in self._instances.values()]

    async def _reload(self, command: control.Reload) -> list[reloading.Change]:
        """Have every component take the settings that have changed, as far as no request is lost by it.

        Returns:
            What was not applied everywhere before.

        Raises:
            OperatorError: the settings are invalid.
            OSError: a change needs a start of everything, or a component did not take it.
        """
        file = Path(command.file) if command.file else None
        wanted = await asyncio.to_thread(settings_loading.load, self._home, self._environment, file)
        found = reloading.changes(self._applied, wanted)
        if command.is_dry:
            return found
        if refusal := reloading.refusal(found):
            raise OSError(refusal)
        for service in reloading.taken_now(found):
            await self._restart(service)
        return found

    def _begin_reload(self) -> None:
        """Reload because of a signal, whose outcome nobody waits for: the log has it."""

        async def run() -> None:
            try:
                found = await self._reload(control.Reload(is_dry=False))
            except (OSError, OperatorError) as error:
                self._note(f"not reloaded: {error}")
                return
            taken, left = reloading.taken_now(found), reloading.by_hand(found)
            waits = f"; `chitlaq restart` is left for {', '.join(left)}" if left else ""
            self._note(f"reloaded {', '.join(taken) or 'nothing'}{waits}")

        running = asyncio.create_task(run())
        self._commands.add(running)
        running.add_done_callback(self._commands.discard)

    async def _restart(self, service: str) -> None:
        """Restart one component's processes in turn, without losing a request.

        The settings are read again, so that what they say about this component applies.

        Raises:
            OSError: the component is unknown, or its successor did not become ready.
        """
        known = [row.name for row in inventory.COMPONENTS.values() if row.kind != "task"]
        if service not in known:
            raise OSError(f"There is no component {service}; there are {', '.join(known)}.")
        async with self._busy:
            if self._paused_for and service in PAUSABLE:
                raise OSError(
                    f"{service} is stopped for {self._paused_for}: wait until that is over."
                )
            declared = await asyncio.to_thread(self._read_settings)
            mine = {spec.name: spec for spec in declared if spec.service == service}
            running = {one.spec.name: one for one in self._instances.values()}
            before = {name for name, one in running.items() if one.spec.service == service}
            if bool(before) != bool(mine):
                now = "no longer have" if before else "now have"
                raise OSError(
                    f"The settings {now} {service}: `chitlaq down` and `chitlaq up` apply that."
                )
            if not before:
                raise OSError(f"With its settings this stack has no {service} of its own.")
            for name in sorted(before & mine.keys()):
                await self._apply(running[name], mine[name])
            self._is_edge_behind |= before != mine.keys()
            try:
                for name in sorted(mine.keys() - before):
                    await self._add(mine[name], [spec.name for spec in declared])
            finally:
                # Also to a worker that is not ready yet: nginx tries another one until it is.
                if self._is_edge_behind:
                    await self._tell_edge()
            for name in sorted(before - mine.keys()):
                await self._remove(running[name])
            self._applied[service] = self._settings

    async def _pause(self, reason: str) -> None:
        """Stop what works with the database, and keep it stopped. Can be repeated.

        Raises:
            OSError: something cannot be ended; what is stopped stays so.
        """
        async with self._busy:
            self._paused_for = reason
            self._note(f"paused for {reason}")
            chosen = self._pausable()
            for instance in chosen:
                await self._cancel_keeper(instance.spec.name)
                instance.became_ready.clear()
            await self._stop_in_order(chosen)
            for instance in chosen:
                instance.change("stopped", f"for {reason}")
            if left := await asyncio.to_thread(self._left_of, chosen):
                raise OSError(f"These processes cannot be ended: {leftovers.listed(left)}.")

    async def _continue(self) -> None:
        """Start what is paused.

        Raises:
            OSError: something is not ready in time; the supervisor goes on.
        """
        async with self._busy:
            await self._start_paused()

    async def _start_paused(self) -> None:
        if not self._paused_for:
            return
        self._note(f"{self._paused_for} is over")
        self._paused_for, self._paused_by = "", None
        chosen = self._pausable()
        for instance in chosen:
            self._begin_to_keep(instance)
        needed = [one for one in chosen if one.spec.is_needed]
        try:
            async with asyncio.timeout(READY_SECONDS):
                await asyncio.gather(*(one.became_ready.wait() for one in needed))
        except TimeoutError:
            late = ", ".join(one.spec.name for one in needed if not one.became_ready.is_set())
            raise OSError(
                f"Not ready after {READY_SECONDS:g} s: {late}. The supervisor goes on: see `chitlaq ps`."
            ) from None

    async def _go_on_without(self, client: asyncio.StreamWriter) -> None:
        """Start what is paused, since whoever paused it is gone; or say what has to be finished first."""
        async with self._busy:
            if self._paused_by is not client:
                return
            if self._home.pending_restore.exists():
                reason = (
                    f"for {self._paused_for}, which was interrupted:"
                    " `chitlaq backup restore --resume` finishes it"
                )
                self._note(f"paused {reason}")
                for instance in self._pausable():
                    instance.change("stopped", reason)
                return
            self._note(f"{self._paused_for} was interrupted before it began")
            with suppress(OSError):  # what is not ready says so itself
                await self._start_paused()

    def _pausable(self) -> list[Instance]:
        return [one for one in self._instances.values() if one.spec.service in PAUSABLE]

    def _left_of(self, chosen: Sequence[Instance]) -> dict[int, str]:
        """End what these have left running; return what cannot be ended."""
        names = {one.spec.name for one in chosen}
        left = [pid for pid, name in leftovers.marked(self._home).items() if name in names]
        return leftovers.end(self._home, left, is_graceful=True)

    async def _tell_edge(self) -> None:
        """Have nginx learn which workers there are; one that does not run learns it when it starts.

        Raises:
            OSError: it could not. Those that it knows keep running, and the next restart tries again.
        """
        nginx = self._instances["nginx"]
        if nginx.process is None or nginx.process.exited.done():
            # Its configuration may have been written already, for a start that is under way.
            await self._cancel_keeper(nginx.spec.name)
            self._begin_to_keep(nginx)
        else:
            try:
                await self._restart_instance(nginx)
            except OSError as error:
                raise OSError(
                    f"nginx could not be told which workers there are: {error.strerror or error}. It keeps"
                    " those that it knows. See `chitlaq logs nginx`; then the same command tries again."
                ) from None
        self._is_edge_behind = False

    def _read_settings(self) -> list[ProcessSpec]:
        """Read the settings again, and return what they require; invalid ones change nothing."""
        try:
            self._settings = settings_loading.load(self._home, self._environment)
        except OperatorError as error:
            self._note(f"{error} The settings in effect stay.")
        logs.hide(settings_loading.secrets_of(self._home, self._settings))
        self._logs.limit(self._settings.logs)
        return process_specs.declare(self._home, self._settings)

    async def _apply(self, instance: Instance, spec: ProcessSpec) -> None:
        """Restart with what the settings say now; the old specification stays if the old process does."""
        before, process = instance.spec, instance.process
        instance.spec = spec
        try:
            await self._restart_instance(instance)
        except OSError:
            if process is instance.process and process is not None and not process.exited.done():
                instance.spec = before
            raise

    async def _restart_instance(self, instance: Instance) -> None:
        spec, process = instance.spec, instance.process
        if process is None or process.exited.done():
            await self._stop_and_start(instance)
        elif spec.is_replaceable:
            await self._replace(instance)
        elif spec.reload_signal is not None and not await self._has_other_command(instance):
            await self._lifecycle.reload(instance)
        else:
            await self._stop_and_start(instance)

    async def _has_other_command(self, instance: Instance) -> bool:
        """Whether its command line or its program is another now, which no reload applies."""
        command = instance.spec.command
        if callable(command):
            command = await asyncio.to_thread(command)
        return command != instance.command or program_of(command) != instance.program

    async def _add(self, spec: ProcessSpec, order: Sequence[str]) -> None:
        """Start one more worker."""
        instance = Instance(spec, self._logs.of[spec.service])
        every = self._instances | {spec.name: instance}
        self._instances.clear()
        self._instances |= sorted(every.items(), key=lambda item: _place(item[0], order))
        await self._stop_and_start(instance)

    async def _remove(self, instance: Instance) -> None:
        """Stop a worker that the settings no longer require."""
        spec = instance.spec
        await asyncio.sleep(HANDOVER_SECONDS)
        await self._cancel_keeper(spec.name)
        await self._stop_instance(instance)
        del self._instances[spec.name]
        self._home.service_socket(spec.service, spec.worker).unlink(missing_ok=True)
        self._note(f"{spec.name} was removed")

    async def _cancel_keeper(self, name: str) -> None:
        keeper = self._keepers.pop(name, None)
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait([keeper])

    async def _replace(self, instance: Instance) -> None:
        """Start a successor beside a running process, and stop that one once it is ready."""
        spec, old = instance.spec, instance.process
        assert old is not None
        new = await self._lifecycle.spawn(instance, spec.command)
        instance.is_being_replaced, instance.reason = True, "its successor starts"
        try:
            await self._until_it_can_take_over(spec, new, old)
        finally:
            instance.is_being_replaced, instance.reason = False, ""
        instance.process, instance.started_at = new, time.monotonic()
        instance.restarts += 1
        instance.change("healthy")
        await asyncio.sleep(HANDOVER_SECONDS)
        await old.stop(spec.stop_signal, spec.grace_seconds)
        self._note(f"{spec.name} was replaced")

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
        await self._cancel_keeper(spec.name)
        try:
            if process is not None:
                await self._stop_process(instance, process)
        finally:
            # Also if it cannot be ended: the keeper says so, and tries again.
            instance.restarts += 1
            self._begin_to_keep(instance)
        try:
            async with asyncio.timeout(READY_SECONDS):
                await instance.became_ready.wait()
        except TimeoutError:
            reason = f", {instance.reason}" if instance.reason else ""
            raise OSError(
                f"{spec.name} is not ready after {READY_SECONDS:g} s ({instance.state}{reason}). The"
                f" supervisor goes on: see `chitlaq ps` and `chitlaq logs {spec.service}`."
            ) from None

    def _begin_to_keep(self, instance: Instance) -> None:
        """Have a component started, and started again whenever it exits.

        Raises:
            OSError: everything is being stopped.
        """
        if self._stopping is not None:
            raise OSError("ChitLaq is being stopped.")
        instance.became_ready.clear()
        self._keepers[instance.spec.name] = asyncio.create_task(self._lifecycle.keep(instance))

    async def _stop_process(self, instance: Instance, process: Process) -> None:
        """Stop a component's process with all that it has started.

        Raises:
            OSError: it cannot be ended.
        """
        spec = instance.spec
        instance.change("stopping")
        # PostgreSQL waits for its backends, also for one that is stopped (SIGSTOP).
        leftovers.resume(await asyncio.to_thread(leftovers.of, self._home, spec.name))
        await process.stop(spec.stop_signal, spec.grace_seconds)

    # --- the end

    def _begin_stop(self) -> None:
        if self._stopping is None:
            self._manager.tell("STOPPING=1")
            self._stopping = asyncio.ensure_future(self._stop())

    async def _stop(self) -> dict[int, str]:
        """Stop everything, dependents before their dependencies; return what cannot be ended."""
        for keeper in self._keepers.values():
            keeper.cancel()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)
        # What is frozen holds up what waits for it, on the way to its end as well.
        leftovers.resume(await asyncio.to_thread(leftovers.marked, self._home))
        await self._stop_in_order(list(self._instances.values()))
        self._fork_server.close()
        left = await asyncio.to_thread(_end_all, self._home)
        if left:
            self._note(f"these processes cannot be ended: {leftovers.listed(left)}")
        self._logs.close()
        asyncio.get_running_loop().call_later(0.1, self._ended.set)
        return left

    async def _stop_in_order(self, remaining: list[Instance]) -> None:
        """Stop these, dependents before their dependencies."""
        while remaining:
            needed = {need for instance in remaining for need in instance.spec.waits_for}
            layer = [i for i in remaining if i.spec.service not in needed]
            await asyncio.gather(*(self._stop_instance(instance) for instance in layer))
            remaining = [instance for instance in remaining if instance not in layer]

    async def _stop_instance(self, instance: Instance) -> None:
        if instance.process is not None and not instance.process.exited.done():
            try:
                await self._stop_process(instance, instance.process)
            except OSError as error:
                self._note(f"{instance.spec.name}: {error}")
        instance.change("stopped")

    def _reopen_access_log(self) -> None:
        nginx = self._instances["nginx"].process
        if nginx is not None:
            nginx.send(signal.SIGUSR1)

    async def _tend(self) -> None:
        """See to the logs, learn which secrets are new, and reap orphans."""
        reaper = leftovers.Reaper(is_waited_for)
        known = set(self._home.secrets.glob("*"))
        while True:
            await asyncio.sleep(TEND_SECONDS)
            found = set(self._home.secrets.glob("*"))
            if found - known:
                logs.hide(settings_loading.secrets_of(self._home, self._settings))
            known = found
            await self._logs.tend()
            await asyncio.to_thread(reaper.reap)


def _line(answer: control.Answer) -> bytes:
    # The socket is its owner's alone.
    return msgspec.json.encode(answer, enc_hook=to_text) + b"\n"


def _place(name: str, order: Sequence[str]) -> int:
    return order.index(name) if name in order else len(order)


def _end_all(home: Home) -> dict[int, str]:
    """End all that runs of this home besides us; return what remains."""
    return leftovers.end(home, set(leftovers.marked(home)) - {os.getpid()}, is_graceful=True)


def supervise(home: Home, settings: Settings) -> None:
    """Run as this home's supervisor, unless there is one already."""
    for folder in (home.run, home.logs):
        folder.mkdir(parents=True, exist_ok=True)
    logs.hide(settings_loading.secrets_of(home, settings))
    with (home.run / "supervisor.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("Another supervisor runs here already.")
        home.control_socket.unlink(missing_ok=True)
        if left := _end_all(home):
            sys.exit(
                f"An earlier supervisor left processes that cannot be ended: {leftovers.listed(left)}."
            )
        mark = leftovers.mark(home, leftovers.SUPERVISOR)
        os.dup2(mark, 0, inheritable=False)
        os.close(mark)
        set_title("supervisor")
        # Counters restart at each start of the stack, as Prometheus expects.
        for file in (home.run / "metrics").glob("*/*.db"):
            file.unlink(missing_ok=True)
        with asyncio.Runner() as runner:
            runner.run(_main(home, settings))


async def _main(home: Home, settings: Settings) -> None:
    await Supervisor(home, settings).run()
    sys.stdout.flush()
    sys.stderr.flush()
    # Python would wait for its threads, of which one may be fetching a package. What they run ends with us.
    os._exit(0)
