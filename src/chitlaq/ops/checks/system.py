"""The system as an operator sees it: what checks look through, each source with its own failure.

Everything here either gives what is there or raises `Unseen` with the reason. Nothing waits without a
bound, nothing blocks the event loop, and what several checks ask is asked once.
"""

from __future__ import annotations

import asyncio
import importlib
import shutil
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

import asyncpg
import msgspec

from chitlaq.core.data import postgres, valkey
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Checks, Settings
from chitlaq.core.unseen import NotHere, Unseen
from chitlaq.stack.supervisor import control
from chitlaq.stack.supervisor.control import Status

if TYPE_CHECKING:
    import httpx

P = ParamSpec("P")
T = TypeVar("T")

# Below the time of a check, so that it can say what did not answer.
HTTP_SECONDS = 3.0
CONNECT_SECONDS = 2.0
SESSION_SECONDS = 3.0
ROLE = "chitlaq_ops"
# Where programs are that an ordinary user's PATH leaves out.
SYSTEM_FOLDERS = "/usr/sbin:/sbin"
# What httpx and the WebSocket's check load only when they first connect.
LIBRARIES = ("anyio._backends._asyncio", "h11", "httpcore", "websockets.asyncio.client")
SESSIONS = 4


class _Unawaited(ThreadPoolExecutor):
    """Gives each call, such as the look-up of a name, a thread that nobody waits for at the end."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        return future


class NoConnectionLeft(Unseen):
    """PostgreSQL answers, and has no connection left to look with."""


class NotRunning(Unseen):
    """There is no supervisor here."""


class CommandResult(msgspec.Struct, frozen=True):
    """What a program of the machine ended with, what it printed, and what it complained of."""

    code: int
    stdout: str
    stderr: str


class Sample(msgspec.Struct, frozen=True):
    """One series of an answer of Prometheus, at the moment that was asked for."""

    metric: dict[str, str]
    value: tuple[float, str]

    @property
    def number(self) -> float:
        return float(self.value[1])


class Range(msgspec.Struct, frozen=True):
    """One series of an answer of Prometheus, over time."""

    metric: dict[str, str]
    values: list[tuple[float, str]]

    @property
    def points(self) -> list[tuple[datetime, float]]:
        return [(datetime.fromtimestamp(at, UTC), float(value)) for at, value in self.values]


class _Data(msgspec.Struct):
    result: list[msgspec.Raw] = []


class _Answer(msgspec.Struct):
    status: str
    data: _Data = msgspec.field(default_factory=_Data)
    error: str = ""


def promql(expression: str) -> str:
    """Return what a person types to ask Prometheus; the braces and brackets must not reach curl."""
    address = "http://localhost:{port:prometheus}/api/v1/query"
    return f"curl -s -G {address} --data-urlencode 'query={expression}' | jq ."


class SystemView:
    """One operator's view, for as long as a routine runs."""

    def __init__(self, home: Home, settings: Settings) -> None:
        self.home = home
        self.settings = settings
        self._shared: dict[str, asyncio.Task[Any]] = {}
        self._pool: asyncpg.Pool[Any] | None = None
        self._opening = asyncio.Lock()
        self._queries = postgres.load_queries("chitlaq.ops.checks", "checks")
        self._valkey: valkey.Valkey | None = None
        self._http: httpx.AsyncClient | None = None

    @property
    def limits(self) -> Checks:
        return self.settings.checks

    def prepare(self) -> None:
        """Load what takes long before anything has a time limit: else servers would seem slow."""
        import httpx

        if self._http is not None:
            return
        # Where nobody answers for names, a look-up takes longer than any check may.
        asyncio.get_running_loop().set_default_executor(_Unawaited())
        for name in LIBRARIES:
            importlib.import_module(name)
        # The certificates that it trusts take a tenth of a second to read.
        self._http = httpx.AsyncClient(timeout=HTTP_SECONDS, trust_env=False)

    # --- this machine

    async def blocking(self, work: Callable[[], T]) -> T:
        """Run something that blocks in a thread of its own, which nobody waits for at the end.

        A thread that hangs (a file system that is gone) is left behind; a pool's would hold up the
        end of the process.
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
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle, result, fault)

        threading.Thread(target=run, daemon=True).start()
        return await future

    async def once(self, name: str, make: Callable[[], Awaitable[T]]) -> T:
        """Do something for the first that asks, and give the same to all others."""
        task = self._shared.get(name)
        if task is None:
            task = self._shared[name] = asyncio.ensure_future(make())
        return await asyncio.shield(task)

    async def run(self, program: str, *words: str, package: str) -> str:
        """Return what a program of the machine prints.

        Raises:
            NotHere: it is not installed; the package that brings it is named.
            Unseen: it failed, with what it said.
        """
        result = await self.command_result(program, *words, package=package)
        if result.code:
            reason = (result.stderr or result.stdout).strip().splitlines()
            raise Unseen(f"{program} failed: {reason[-1] if reason else 'it said nothing'}")
        return result.stdout

    async def command_result(self, program: str, *words: str, package: str) -> CommandResult:
        """Return all that a program of the machine says, well or not.

        Raises:
            NotHere: it is not installed; the package that brings it is named.
        """
        path = shutil.which(program) or shutil.which(program, path=SYSTEM_FOLDERS)
        if path is None:
            raise NotHere(f"{program} is not on this machine: the package {package} brings it")
        process = await asyncio.create_subprocess_exec(
            path,
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            said, complaint = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        return CommandResult(
            process.returncode or 0,
            said.decode(errors="replace"),
            complaint.decode(errors="replace"),
        )

    # --- components

    async def statuses(self) -> list[Status]:
        """What the supervisor says of each process.

        Raises:
            NotRunning: there is none.
            Unseen: it does not answer.
        """

        async def ask() -> list[Status]:
            return await self.blocking(lambda: control.ask(self.home, control.Ps()))

        try:
            return await self.once("statuses", ask)
        except control.NotRunningError as error:
            raise NotRunning(str(error)) from None
        except (OperatorError, OSError, msgspec.DecodeError) as error:
            raise Unseen(str(error)) from None

    async def get(self, service: str, path: str) -> httpx.Response:
        """Ask a component on its own port.

        Raises:
            Unseen: nobody answers there.
        """
        return await self._get(f"http://127.0.0.1:{self.settings.port_of(service)}{path}")

    async def _get(self, url: str, **params: str) -> httpx.Response:
        import httpx

        self.prepare()
        assert self._http is not None
        try:
            return await self._http.get(url, params=params or None)
        except httpx.TimeoutException:
            raise Unseen(f"no answer from {url} within {HTTP_SECONDS:g} s") from None
        except (httpx.HTTPError, OSError) as error:
            raise Unseen(
                f"nobody answers at {url} ({str(error) or type(error).__name__})"
            ) from None

    # --- Prometheus and Alertmanager

    async def query(self, expression: str) -> list[Sample]:
        """Return an instant vector.

        Raises:
            Unseen: Prometheus is away or refuses, or it has no samples: nothing is not zero.
        """
        found = await self._ask_prometheus("query", list[Sample], query=expression)
        known = [sample for sample in found if sample.value[1] != "NaN"]
        if not known:
            raise Unseen(f"Prometheus has no samples for {expression}")
        return known

    async def number(self, expression: str) -> float:
        """Return the value of an expression that gives one series."""
        return (await self.query(expression))[0].number

    async def range(self, expression: str, seconds: float, step: float) -> list[Range]:
        """Return series over the last time, one point a step.

        Raises:
            Unseen: Prometheus is away or refuses; no series at all is an empty list.
        """
        end = datetime.now(UTC).timestamp()
        return await self._ask_prometheus(
            "query_range",
            list[Range],
            query=expression,
            start=f"{end - seconds:.0f}",
            end=f"{end:.0f}",
            step=f"{step:.0f}",
        )

    async def _ask_prometheus(self, what: str, kind: type[list[T]], **params: str) -> list[T]:
        url = self._observer("prometheus", self.settings.prometheus_url)
        answer = await self._get(f"{url}/api/v1/{what}", **params)
        try:
            body = msgspec.json.decode(answer.content, type=_Answer)
            if body.status != "success":
                raise Unseen(f"Prometheus refuses {params['query']}: {body.error}")
            item: Any = kind.__args__[0]  # type: ignore[attr-defined]
            return [msgspec.json.decode(one, type=item) for one in body.data.result]
        except msgspec.DecodeError as error:
            raise Unseen(f"{url} does not answer as Prometheus does: {error}") from None

    async def alertmanager(self, path: str) -> bytes:
        """Ask Alertmanager.

        Raises:
            Unseen: it is away, or refuses.
        """
        url = self._observer("alertmanager", self.settings.alertmanager_url)
        answer = await self._get(f"{url}{path}")
        if answer.status_code != 200:
            raise Unseen(f"{url}{path} was answered with {answer.status_code}")
        return answer.content

    def _observer(self, name: str, elsewhere: str) -> str:
        if elsewhere:
            return elsewhere.rstrip("/")
        if not self.settings.embeds(name):
            raise Unseen(
                f"no {name} is set: CHITLAQ_MONITORING_EMBEDDED is false, and no URL given"
            )
        return f"http://127.0.0.1:{self.settings.port_of(name)}"

    # --- PostgreSQL and Valkey

    async def rows(self, name: str, *args: object) -> list[asyncpg.Record]:
        """Return the rows of a named query.

        Raises:
            NoConnectionLeft: all connections are taken.
            Unseen: PostgreSQL is away, or will not say.
        """
        async with self._session() as connection:
            return await connection.fetch(  # type: ignore[no-any-return]
                self._queries[name].sql, *args, timeout=SESSION_SECONDS
            )

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Any]:
        try:
            async with self._opening:
                if self._pool is None:
                    self._pool = await asyncpg.create_pool(
                        postgres.dsn(self.settings, self.home, ROLE),
                        min_size=0,
                        max_size=SESSIONS,
                        timeout=CONNECT_SECONDS,
                        server_settings={"application_name": "chitlaq-checks"},
                    )
            async with self._pool.acquire(timeout=SESSION_SECONDS) as connection:
                try:
                    yield connection
                except TimeoutError:
                    # To give it back would wait once more for a server that does not answer.
                    connection.terminate()
                    raise Unseen(
                        f"PostgreSQL did not answer within {SESSION_SECONDS:g} s"
                    ) from None
        except asyncpg.TooManyConnectionsError as error:
            raise NoConnectionLeft(f"PostgreSQL has no connection left: {error}") from None
        except TimeoutError:
            raise Unseen(f"PostgreSQL did not answer within {CONNECT_SECONDS:g} s") from None
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, OperatorError) as error:
            raise Unseen(f"PostgreSQL: {error or type(error).__name__}") from None

    async def valkey(self, *command: str) -> Any:
        """Return Valkey's answer to a command.

        Raises:
            Unseen: it is away, or refuses.
        """
        try:
            if self._valkey is None:
                self._valkey = valkey.connect(self.settings, self.home)
            return await self._valkey.execute(*command)
        except valkey.UNAVAILABLE as error:
            raise Unseen(f"Valkey: {error}") from None
        except OperatorError as error:
            raise Unseen(str(error)) from None

    async def valkey_facts(self, section: str) -> Mapping[str, str]:
        """Return ``INFO SECTION`` by name."""
        text: bytes = await self.valkey("INFO", section)
        lines = text.decode(errors="replace").splitlines()
        pairs = (line.partition(":") for line in lines if ":" in line)
        return {name: value for name, _, value in pairs}

    async def close(self) -> None:
        """Let go of everything, whether it answers or not."""
        for task in self._shared.values():
            task.cancel()
        if self._pool is not None:
            self._pool.terminate()
        if self._valkey is not None:
            await self._valkey.close()
        if self._http is not None:
            await self._http.aclose()
