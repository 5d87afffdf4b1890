"""Bring our own processes to another installed version, one after the other, and back if that turns out bad.

The supervisor stays what it is. Each version has a fork server of its own, from which its processes are
started; a process that exits comes back in the version that it had.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from chitlaq import inventory
from chitlaq.core.host.programs import describe_exit
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.logs import rotation
from chitlaq.stack.supervisor.components import Components
from chitlaq.stack.supervisor.edge_answers import EdgeAnswers
from chitlaq.stack.supervisor.fork_server import ForkServers
from chitlaq.stack.supervisor.instance import Instance
from chitlaq.stack.supervisor.pausing import Pause
from chitlaq.stack.supervisor.process import Process
from chitlaq.stack.supervisor.release import Release
from chitlaq.stack.supervisor.restarting import Restarts

ORDER = tuple(row.name for row in reversed(inventory.SERVICES))
"""ops-service first, which members do not need, and the gateway last."""
SETTLE_SECONDS = 5.0
"""How long the first process of each service is watched before more are replaced."""
WATCH_SECONDS = 0.5
UNWELL_SECONDS = 6.0
"""One missed probe is nothing; a process that hangs misses the next two as well."""
MIGRATION_SECONDS = 3600.0


class Rollout:
    """What `chitlaq upgrade` asks for.

    Args:
        home: the installation.
        settings: returns the settings in effect.
        components: what runs.
        restarts: replaces single processes.
        fork_servers: one for each version.
        pause: nothing is replaced while something is paused.
    """

    def __init__(
        self,
        home: Home,
        settings: Callable[[], Settings],
        components: Components,
        restarts: Restarts,
        fork_servers: ForkServers,
        pause: Pause,
    ) -> None:
        self._home = home
        self._settings = settings
        self._components = components
        self._restarts = restarts
        self._fork_servers = fork_servers
        self._pause = pause
        self.step = ""
        """What it is at, in words; empty if it does nothing."""

    async def run(self, wanted: Release, watch_seconds: float) -> None:
        """Bring everything of ours to a version.

        Args:
            wanted: the version.
            watch_seconds: how long it is watched once all runs in it; each service first for a part of that.

        Raises:
            OSError: it is not so, or no longer, and why.
        """
        async with self._components.busy:
            before = self._components.release
            if wanted.folder == before.folder:
                raise OSError(f"{wanted.folder} is what runs already: nothing was changed.")
            for service in ORDER:
                self._pause.refuse(service)
            answers = await asyncio.to_thread(EdgeAnswers, self._home, self._settings())
            self._note(f"upgrade from {_named(before)} to {_named(wanted)} begins")
            try:
                await self._migrate(wanted)
                await self._replace_all(wanted, before, answers, watch_seconds)
            finally:
                self.step = ""
                answers.close()
                self._fork_servers.keep(self._components.release)
            self._note(f"everything runs {_named(wanted)}")

    async def _replace_all(
        self, wanted: Release, before: Release, answers: EdgeAnswers, watch_seconds: float
    ) -> None:
        watch = _Watch(answers)
        try:
            for service in ORDER:
                await self._replace_service(service, wanted, watch, watch_seconds)
            await self._configure(wanted)
            self.step = f"{wanted.version} to prove itself, {watch_seconds:g} s"
            await watch.wait(watch_seconds)
        except Exception as error:
            self._note(f"{error}; back to {_named(before)}")
            left = await self._go_back(before)
            ending = (
                f"All runs {before.version} again."
                if not left
                else f"Not all could be brought back to {before.version}: {'; '.join(left)}."
            )
            raise OSError(f"{str(error).rstrip('.')}. {ending}") from None
        for instance in self._components.instances.values():
            instance.release = wanted
        self._components.release = wanted

    async def _replace_service(
        self, service: str, wanted: Release, watch: _Watch, watch_seconds: float
    ) -> None:
        watch.answers.begin(service)
        for number, instance in enumerate(self._processes_of(service)):
            self.step = f"{instance.spec.name} to become {wanted.version}"
            await self._restarts.bring_to(instance, wanted)
            watch.add(instance)
            if number == 0:
                self.step = f"{service} to prove itself"
                await watch.wait(min(SETTLE_SECONDS, watch_seconds))

    async def _migrate(self, wanted: Release) -> None:
        """Migrate the database first: what it gets, the version before works with, too.

        Raises:
            OSError: it failed; nothing was replaced.
        """
        instance = self._components.instances["migrate"]
        command = instance.spec.command
        self.step = f"the migrations of {wanted.version}"
        process = await self._components.lifecycle.spawn(instance, command, wanted)
        await asyncio.wait([process.exited], timeout=MIGRATION_SECONDS)
        if not process.exited.done():
            await process.kill()
        if (code := process.exited.result()) != 0:
            said = " ".join(rotation.last_lines(instance.log.path, 1))
            raise OSError(
                f"The migrations of {wanted.version} failed ({describe_exit(code)}): {said} No process was"
                " replaced."
            )
        instance.release = wanted

    async def _configure(self, release: Release) -> None:
        """Have nginx and the observers take the configuration that this version writes for them."""
        for instance in self._components.instances.values():
            process = instance.process
            if (
                instance.spec.prepare_command is None
                or process is None
                or process.exited.done()
                or instance.release.folder == release.folder
            ):
                continue
            self.step = f"{instance.spec.name} to take the configuration of {release.version}"
            instance.release = release
            await self._components.lifecycle.reload(instance)

    async def _go_back(self, before: Release) -> list[str]:
        """Bring everything back, and return what could not be."""
        left = []
        self.step = f"everything to run {before.version} again"
        try:
            await self._configure(before)
        except OSError as error:
            left.append(str(error))
        for service in reversed(ORDER):
            for instance in self._processes_of(service):
                if instance.release.folder == before.folder:
                    continue
                try:
                    await self._restarts.bring_to(instance, before)
                except OSError as error:
                    left.append(str(error))
        # Whatever is started from now on is what ran before.
        for instance in self._components.instances.values():
            instance.release = before
        return left

    def _processes_of(self, service: str) -> Sequence[Instance]:
        every = self._components.instances.values()
        return [one for one in every if one.spec.service == service]

    def _note(self, text: str) -> None:
        self._components.note(text)


class _Watch:
    """Watches replaced processes, and what members are answered."""

    def __init__(self, answers: EdgeAnswers) -> None:
        self.answers = answers
        self._watched: list[tuple[Instance, Process]] = []
        self._unwell_since: dict[str, float] = {}

    def add(self, instance: Instance) -> None:
        assert instance.process is not None
        self._watched.append((instance, instance.process))

    async def wait(self, seconds: float) -> None:
        """Watch for a time.

        Raises:
            OSError: something turned bad, at once when it does.
        """
        deadline = time.monotonic() + seconds
        while True:
            fault = self._fault() or await asyncio.to_thread(self.answers.fault)
            if fault:
                raise OSError(fault)
            if time.monotonic() >= deadline and not self._unwell_since:
                return
            await asyncio.sleep(WATCH_SECONDS)

    def _fault(self) -> str:
        """What is wrong with a process; empty if nothing is."""
        now = time.monotonic()
        for instance, process in self._watched:
            name = instance.spec.name
            if process.exited.done():
                return f"{name} exited ({describe_exit(process.exited.result())})"
            if instance.state == "healthy":
                self._unwell_since.pop(name, None)
                continue
            since = self._unwell_since.setdefault(name, now)
            if now - since > UNWELL_SECONDS:
                return f"{name} was {instance.state} ({instance.reason}) for {now - since:.0f} s"
        return ""


def _named(release: Release) -> str:
    return f"{release.version} ({release.folder})"
