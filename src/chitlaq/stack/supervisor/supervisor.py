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
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from chitlaq import __version__, inventory
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import memory
from chitlaq.core.host.process_title import set_title
from chitlaq.core.installation import settings_loading
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.setting_effects import SUPERVISED, as_started
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.stack.servers import process_specs
from chitlaq.stack.servers.process_specs import ProcessSpec
from chitlaq.stack.supervisor import control, leftovers, release, reloading
from chitlaq.stack.supervisor.command_server import CommandServer
from chitlaq.stack.supervisor.component_logs import ComponentLogs
from chitlaq.stack.supervisor.components import Components
from chitlaq.stack.supervisor.fork_server import ForkServers
from chitlaq.stack.supervisor.instance import Instance
from chitlaq.stack.supervisor.lifecycle import Lifecycle
from chitlaq.stack.supervisor.pausing import Pause
from chitlaq.stack.supervisor.process import adopt_orphans, is_waited_for
from chitlaq.stack.supervisor.restarting import Restarts
from chitlaq.stack.supervisor.rollout import Rollout
from chitlaq.stack.supervisor.service_manager import ServiceManager

TEND_SECONDS = 5.0
FETCH_SECONDS = 86_400.0
RENEW_SECONDS = 600.0


class Supervisor:
    def __init__(self, home: Home, settings: Settings) -> None:
        self._home = home
        self._settings = settings
        self._manager = ServiceManager()
        self._environment = {
            **os.environ,
            "CHITLAQ_HOME": str(home.root),
            "PYTHONUNBUFFERED": "1",
            SUPERVISED: str(home.root),
        }
        self._logs = ComponentLogs(home, settings.logs, self._reopen_access_log)
        declared = process_specs.declare(home, settings, self._logs.access_log)
        self._logs.open({c.service for c in declared})
        self._note = self._logs.note
        version = release.own()
        instances = {c.name: Instance(c, self._logs.of[c.service], version) for c in declared}
        self._applied = {reloading.SUPERVISOR: settings} | {c.service: settings for c in declared}
        self._fork_servers = ForkServers(
            self._environment, self._logs.own.write, partial(leftovers.mark, home)
        )
        lifecycle = Lifecycle(home, self._environment, instances, self._fork_servers, self._note)
        self._components = Components(home, instances, lifecycle, version, self._note)
        self._restarts = Restarts(self._components, self._logs.of)
        self._pause = Pause(self._components)
        self._rollout = Rollout(
            home,
            lambda: self._settings,
            self._components,
            self._restarts,
            self._fork_servers,
            self._pause,
        )
        self._stopping: asyncio.Future[dict[int, str]] | None = None
        self._ended = asyncio.Event()
        self._is_edge_behind = False
        self._background: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Run the stack until a signal, a command or a closed terminal stops it."""
        adopt_orphans()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._begin_stop)
        loop.add_signal_handler(signal.SIGHUP, self._begin_reload)
        self._fork_servers.of(self._components.release).open()
        for name, instance in self._components.instances.items():
            self._components.begin_to_keep(instance)
            if instance.spec.fetch is not None:
                # Not of the loop's own threads: the end does not wait for it.
                arguments = (loop, name, instance.spec.fetch)
                threading.Thread(target=self._fetch_forever, args=arguments, daemon=True).start()
            if instance.spec.renew is not None:
                self._in_background(self._renew_forever(instance))
        commands = CommandServer(
            self._home,
            self._obey,
            self._components.statuses,
            lambda: self._rollout.step,
            self._pause.go_on_without,
            self._leave_terminal,
        )
        server = await commands.open()
        telling = asyncio.create_task(self._manager.follow(self._components.statuses))
        tending = asyncio.create_task(self._tend())
        self._note("supervisor started")
        await self._ended.wait()
        tending.cancel()
        telling.cancel()
        self._home.control_socket.unlink(missing_ok=True)
        server.close()
        self._note("supervisor stopped")
        await self._logs.end()

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

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something for which nobody waits."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # --- commands

    async def _obey(self, command: control.Command, client: asyncio.StreamWriter) -> control.Answer:
        try:
            if isinstance(command, control.Restart):
                await self._restart(command.service)
            elif isinstance(command, control.Reload):
                return control.Answer(changes=await self._reload(command))
            elif isinstance(command, control.Rotate):
                await self._logs.rotate(moved=command.moved)
            elif isinstance(command, control.Pause):
                await self._pause.begin(command.reason, client)
            elif isinstance(command, control.Continue):
                await self._pause.end()
            elif isinstance(command, control.Stop):
                self._begin_stop()
                assert self._stopping is not None
                if remaining := await asyncio.shield(self._stopping):
                    raise OSError(
                        f"These processes cannot be ended: {leftovers.listed(remaining)}."
                    )
            elif isinstance(command, control.InEffect):
                running = self._components.release
                return control.Answer(
                    settings=self._settings,
                    version=running.version,
                    release=running,
                    supervisor=__version__,
                    step=self._rollout.step,
                )
            elif isinstance(command, control.Upgrade):
                # Who is replaced reads the settings anew, and another version may not know how they were.
                wanted = await self._read(None)
                if refusal := reloading.refusal(reloading.changes(self._applied, wanted)):
                    raise OSError(refusal)
                await self._rollout.run(command.release, command.watch_seconds)
        except (OSError, OperatorError) as error:
            return control.Answer(self._components.statuses(), str(error))
        except Exception as error:
            self._note(f"{command} failed: {error!r}")
            return control.Answer(self._components.statuses(), f"Unexpected: {error!r}")
        return control.Answer(self._components.statuses())

    def _leave_terminal(self) -> None:
        self._note("the terminal was closed")
        self._begin_stop()

    async def _reload(self, command: control.Reload) -> list[reloading.Change]:
        """Have every component take the settings that have changed, as far as no request is lost by it.

        Returns:
            What was not applied everywhere before.

        Raises:
            OperatorError: the settings are invalid.
            OSError: a change needs a start of everything, or a component did not take it.
        """
        wanted = await self._read(Path(command.file) if command.file else None)
        found = reloading.changes(self._applied, wanted)
        if command.is_dry:
            return found
        if command.agreed is not None and found != command.agreed:
            raise OSError(
                "The settings are others than those that were shown, or somebody else has applied them: run"
                " `chitlaq reload` again. Nothing was changed."
            )
        if refusal := reloading.refusal(found):
            raise OSError(refusal)
        for service in reloading.taken_now(found):
            await self._restart(service)
        return found

    async def _read(self, file: Path | None) -> Settings:
        return await asyncio.to_thread(settings_loading.load, self._home, self._environment, file)

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

        self._in_background(run())

    async def _restart(self, service: str) -> None:
        """Restart one component's processes in turn, without losing a request.

        The settings are read again, so that what they say about this component applies.

        Raises:
            OSError: the component is unknown, or its successor did not become ready.
        """
        known = [row.name for row in inventory.COMPONENTS.values() if row.kind != "task"]
        if service not in known:
            raise OSError(f"There is no component {service}; there are {', '.join(known)}.")
        async with self._components.busy:
            self._pause.refuse(service)
            declared = await asyncio.to_thread(self._read_settings)
            mine = {spec.name: spec for spec in declared if spec.service == service}
            running = {one.spec.name: one for one in self._components.instances.values()}
            before = {name for name, one in running.items() if one.spec.service == service}
            if bool(before) != bool(mine):
                now = "no longer have" if before else "now have"
                raise OSError(
                    f"The settings {now} {service}: `chitlaq down` and `chitlaq up` apply that."
                )
            if not before:
                raise OSError(f"With its settings this stack has no {service} of its own.")
            for name in sorted(before & mine.keys()):
                await self._restarts.apply(running[name], mine[name])
            self._is_edge_behind |= before != mine.keys()
            try:
                for name in sorted(mine.keys() - before):
                    await self._restarts.add(mine[name], [spec.name for spec in declared])
            finally:
                # Also to a worker that is not ready yet: nginx tries another one until it is.
                if self._is_edge_behind:
                    await self._restarts.tell_edge()
                    self._is_edge_behind = False
            for name in sorted(before - mine.keys()):
                await self._restarts.remove(running[name])
            self._applied[service] = self._settings

    def _read_settings(self) -> list[ProcessSpec]:
        """Read the settings again, and return what they require; invalid ones change nothing.

        Nor does what takes a start of everything.
        """
        started = self._applied[reloading.SUPERVISOR]
        try:
            wanted = settings_loading.load(self._home, self._environment)
            self._settings = as_started(wanted, started)
        except OperatorError as error:
            self._note(f"{error} The settings in effect stay.")
        logs.hide(settings_loading.secrets_of(self._home, self._settings))
        self._logs.limit(self._settings.logs)
        return process_specs.declare(self._home, self._settings, self._logs.access_log)

    # --- the end

    def _begin_stop(self) -> None:
        if self._stopping is None:
            self._manager.tell("STOPPING=1")
            self._stopping = asyncio.ensure_future(self._stop())

    async def _stop(self) -> dict[int, str]:
        """Stop everything, dependents before their dependencies; return what cannot be ended."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._components.end_keeping()
        # What is frozen holds up what waits for it, on the way to its end as well.
        leftovers.resume(await asyncio.to_thread(leftovers.marked, self._home))
        await self._components.stop_in_order(list(self._components.instances.values()))
        self._fork_servers.close()
        left = await asyncio.to_thread(_end_all, self._home)
        # Before whoever asked goes on, and perhaps removes the home.
        memory.remove(self._home.all_metrics)
        if left:
            self._note(f"these processes cannot be ended: {leftovers.listed(left)}")
        await self._logs.close()
        asyncio.get_running_loop().call_later(0.1, self._ended.set)
        return left

    def _reopen_access_log(self) -> None:
        nginx = self._components.instances["nginx"].process
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
        # Of homes that were removed while their supervisor was killed, nobody else would.
        memory.sweep()
        # Counters restart at each start of the stack, as Prometheus expects.
        memory.link(home.all_metrics)
        with asyncio.Runner() as runner:
            runner.run(_main(home, settings))


async def _main(home: Home, settings: Settings) -> None:
    await Supervisor(home, settings).run()
    sys.stdout.flush()
    sys.stderr.flush()
    # Python would wait for its threads, of which one may be fetching a package. What they run ends with us.
    os._exit(0)
