"""The system as an operator sees it: the sources that checks read, each failing on its own.

Each source returns its content or raises `UnknownResult` with the reason. Every wait has a timeout,
nothing blocks the event loop, and what several checks need is fetched once.
"""

from __future__ import annotations

import asyncio
import importlib
import math
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar, cast

import msgspec

from chitlaq.core import daemon_threads
from chitlaq.core.errors import NotApplicable, NotYet, OperatorError, TooLate, UnknownResult
from chitlaq.core.host import http_client, programs
from chitlaq.core.host.http_client import Response
from chitlaq.core.host.programs import CommandResult
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.observers import Access
from chitlaq.core.installation.settings import CheckThresholds, Settings
from chitlaq.ops.checks.sources import judged_by
from chitlaq.ops.checks.sources.datastores import PostgresView, ValkeyView
from chitlaq.ops.checks.sources.prometheus import AlertmanagerView, PrometheusView
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.stack import containers
from chitlaq.stack.supervisor import control
from chitlaq.stack.supervisor.control import Status

T = TypeVar("T")

# Shorter than a check's timeout, so that the check can say what did not answer.
HTTP_SECONDS = 3.0
# A day of a busy journal, or apt on a busy machine. Most checks have less time.
PROGRAM_SECONDS = 60.0
PROGRAM_BYTES = 100_000_000
FETCHED_SECONDS = 900.0
"""After the first start, until the observers are there. A slow link tries each package for a minute."""
# What the checks of the WebSocket import only when they connect.
LIBRARIES = ("chitlaq.client.pinging", "chitlaq.client.round_trip")


class NotRunning(UnknownResult):
    """No supervisor runs here."""


class SystemView:
    """One operator's view of the system, for the duration of a run."""

    def __init__(self, home: Home, settings: Settings) -> None:
        self.home = home
        self.settings = settings
        self.prometheus = PrometheusView(home, settings, self._get, self._require_time)
        self.alertmanager = AlertmanagerView(home, settings, self._get, self._require_time)
        self.postgres = PostgresView(home, settings)
        self.valkey = ValkeyView(home, settings)
        self._operations = OpsDatabase(home)
        self._shared: dict[str, asyncio.Task[Any]] = {}
        self._is_prepared = False

    @property
    def thresholds(self) -> CheckThresholds:
        return self.settings.checks

    def prepare(self) -> None:
        """Import slow libraries before any timeout runs; otherwise servers would seem slow."""
        if self._is_prepared:
            return
        self._is_prepared = True
        # Without a name server, a look-up takes longer than any check may.
        daemon_threads.use()
        for name in LIBRARIES:
            importlib.import_module(name)

    async def blocking(self, work: Callable[[], T]) -> T:
        """Run a blocking call in its own daemon thread.

        A thread that hangs (on a dead file system) is abandoned; in a pool it would hold up the end of
        the process.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, fault: BaseException | None) -> None:
            if future.done():
                return
            if fault is not None:
                future.set_exception(fault)
            else:
                future.set_result(cast(T, result))

        def run() -> None:
            result, fault = None, None
            try:
                result = work()
            except BaseException as error:
                fault = error
            with suppress(RuntimeError):  # the loop is closed: nothing waits any more
                loop.call_soon_threadsafe(settle, result, fault)

        threading.Thread(target=run, daemon=True).start()
        return await future

    async def once(self, name: str, make: Callable[[], Awaitable[T]]) -> T:
        """Run a call for the first caller, and share its result with all others."""
        task = self._shared.get(name)
        if task is None:
            task = self._shared[name] = asyncio.ensure_future(make())
        return await asyncio.shield(task)

    def is_new(self, seconds: float) -> bool:
        """Whether this installation was made less than this long ago."""
        return time.time() - seconds < self.installed_at() < math.inf

    def installed_at(self) -> float:
        """Return when the first start made the secrets, in Unix seconds; infinite if there was none."""
        try:
            made = [one.stat().st_mtime for one in self.home.secrets.iterdir()]
        except OSError:
            return math.inf
        return min(made, default=math.inf)

    async def _require_time(self, name: str, *, has_answered: bool) -> None:
        """Raise if an observer has not had the time to answer, or to observe.

        Raises:
            NotYet: it is being fetched or started for the first time, or has just begun.
        """
        if not (self.is_new(FETCHED_SECONDS) and self.settings.embeds(name)):
            return
        if has_answered:
            raise NotYet(f"{name} has just begun to observe this new installation")
        try:
            statuses = await self.statuses()
        except UnknownResult:
            return
        if any(one.service == name and self.is_beginning(one) for one in statuses):
            raise NotYet(
                f"{name} is fetched and started for the first time, which takes some minutes"
            )

    def is_beginning(self, status: Status) -> bool:
        """Whether this is fetched or started for the first time, and nothing else waits for it."""
        is_first = self.is_new(FETCHED_SECONDS) and not status.restarts and not status.is_needed
        return is_first and status.state in {"waiting", "starting", "missing"}

    async def run(self, program: str, *words: str, package: str) -> str:
        """Return the standard output of a program.

        Raises:
            NotApplicable: it is not installed; the message names its package.
            UnknownResult: it failed; the message has the last of its output.
        """
        result = await self.command_result(program, *words, package=package)
        if result.code:
            raise UnknownResult(f"{program} failed: {result.reason}")
        return result.stdout

    async def command_result(self, program: str, *words: str, package: str) -> CommandResult:
        """Return the exit code and the output of a program, whether it failed or not.

        Raises:
            NotApplicable: it is not installed; the message names its package.
            UnknownResult: it does not start, does not end, or prints too much.
        """
        path = programs.find(program)
        if path is None:
            raise NotApplicable(f"{program} is not installed: it is in the package {package}")
        try:
            return await programs.arun(
                [path, *words],
                timeout_seconds=PROGRAM_SECONDS,
                max_bytes=PROGRAM_BYTES,
                grace_seconds=0,
            )
        except OperatorError as error:
            raise UnknownResult(str(error)) from None

    async def recorded(self, query: str, *args: object) -> list[sqlite3.Row]:
        """Return the rows of a named query on the history of operations.

        Raises:
            UnknownResult: there is none, or it cannot be read or written.
        """
        if not self.home.ops_database.exists():
            raise UnknownResult(
                f"there is no history in {self.home.ops}: ops-service has never run",
                judged_by.JUDGED_BY["ops-service"],
            )
        try:
            return await self._operations.rows(query, *args)
        except OperatorError as error:
            raise UnknownResult(str(error)) from None

    async def statuses(self) -> list[Status]:
        """Return the supervisor's status of each process; in containers, whether each component answers.

        Raises:
            NotRunning: there is no supervisor.
            UnknownResult: it does not answer.
        """
        if containers.are_used(self.home):
            return await self.once(
                "statuses", lambda: containers.statuses(self.home, self.settings)
            )

        async def ask() -> list[Status]:
            return await self.blocking(lambda: control.ask(self.home, control.Ps()))

        try:
            return await self.once("statuses", ask)
        except control.NotRunningError as error:
            raise NotRunning(str(error), judged_by.SUPERVISOR) from None
        except (OperatorError, OSError, msgspec.DecodeError) as error:
            raise UnknownResult(str(error)) from None

    async def why_nothing_runs(self) -> tuple[str, ...]:
        """Return the check that explains why a component does not answer, if nothing keeps it running."""
        try:
            await self.statuses()
        except NotRunning as error:
            return (error.judged_by,)
        except UnknownResult:
            return ()
        return ()

    async def get(self, service: str, path: str, token: str = "") -> Response:
        """Send a GET request to a component's own port, as the member of an access token if there is one.

        Raises:
            UnknownResult: there is no answer.
        """
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            return await self._get(Access(self.settings.url_of(service)), path, {}, headers)
        except UnknownResult as error:
            raise type(error)(str(error), judged_by.JUDGED_BY[service]) from None

    async def _get(
        self,
        access: Access,
        path: str,
        parameters: dict[str, str],
        headers: Mapping[str, str] = {},
    ) -> Response:
        self.prepare()
        try:
            return await http_client.get(
                access.url + path,
                parameters=parameters,
                headers=headers,
                tls=access.tls,
                timeout_seconds=HTTP_SECONDS,
            )
        except http_client.TooLateError as error:
            raise TooLate(str(error)) from None
        except http_client.NoAnswerError as error:
            raise UnknownResult(str(error)) from None

    async def close(self) -> None:
        """Close everything, whether it answers or not."""
        for task in self._shared.values():
            task.cancel()
        self.postgres.close()
        self._operations.close()
        await self.valkey.close()
