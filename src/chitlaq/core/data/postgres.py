"""PostgreSQL: its address, named queries, and a pool that reconnects automatically.

Every statement that is sent carries a comment with the service, the query's name and the request id,
so that a line of ``pg_stat_activity`` or of PostgreSQL's log leads back to a request. A statement whose
text changes with each request cannot be prepared once, which costs a round trip and a plan; the hottest
reads are therefore marked ``-- name: NAME (prepared)``, carry the comment without the request id, and
are logged with it by the service when they are slow.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
from prometheus_client import Histogram

from chitlaq.core.data import named_queries, postgres_hosts
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import Secrets
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs, metrics, tracing

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

T = TypeVar("T")

log = logs.get("postgres")

DATABASE = "chitlaq"
OWNER = "chitlaq"

POOL_SIZE = 10
ACQUIRE_SECONDS = 3.0
QUERY_SECONDS = 15.0
RETRY_SECONDS = 0.1
IN_USE = "connections of this process are in use"
DEADLOCK_TRIES = 3


class PostgresUnavailableError(Exception):
    """PostgreSQL is unreachable, starting, or out of resources or connections; a retry may succeed."""


# What asyncpg raises when the server is unreachable, starting or stopping, not when a query is wrong.
_UNAVAILABLE = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    # Out of connections, memory or disk: nothing was done, and a retry may succeed.
    asyncpg.InsufficientResourcesError,
    # Ended for another transaction's sake: the same.
    asyncpg.DeadlockDetectedError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InterfaceError,
    # The server has closed this connection, and the client has not noticed yet: nothing was sent.
    asyncpg.InternalClientError,
    # The role does not exist yet, at the very first start.
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)


@asynccontextmanager
async def connection(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Connect for the length of a block, without a pool.

    Raises:
        OSError, asyncpg.PostgresError: PostgreSQL is unreachable, or refuses.
    """
    opened = await postgres_hosts.connect(url, timeout=5)
    try:
        yield opened
    finally:
        await opened.close()


def dsn(settings: Settings, home: Home, role: str, database: str | None = None) -> str:
    """Return the connection URL of a role.

    Args:
        settings: with ``database_url`` set, that server; else the embedded one's Unix socket.
        home: the installation, for the socket and the role's password.
        role: ``postgres`` stands for the user who may create roles and databases: the embedded server's
            superuser, or the user of ``database_url``.
        database: a database other than the installation's.
    """
    if settings.database_url:
        url = urlsplit(settings.database_url.reveal())
        path = f"/{database}" if database else url.path
        if role == "postgres":
            return urlunsplit(url._replace(path=path))
        password = Secrets(home.secrets).postgres_password(role)
        host = url.netloc.rpartition("@")[2]
        return urlunsplit(url._replace(netloc=f"{role}:{quote(password)}@{host}", path=path))
    password = Secrets(home.secrets).postgres_password(role)
    return (
        f"postgresql://{role}:{quote(password)}@/{database or DATABASE}"
        f"?host={quote(str(home.postgres_socket))}&port={settings.port_of('postgres')}"
    )


@dataclass(frozen=True, slots=True)
class Query:
    """A named statement. ``is_prepared`` ones keep one text, so that they are planned once.

    ``job_kinds`` are those of the jobs that it writes and that are due at once.
    """

    label: str
    sql: str
    is_prepared: bool
    job_kinds: frozenset[str]
    duration: Histogram


def load_queries(package: str, service: str, *more: str) -> Mapping[str, Query]:
    """Read the named queries of these packages' ``queries.sql``, where they have one.

    Raises:
        ValueError: two queries share a name.
    """
    queries: dict[str, Query] = {}
    for query in named_queries.load(package, *more):
        name, sql, is_prepared = query
        label = f"{service}.{name}"
        duration = metrics.POSTGRESQL_QUERY_DURATION.labels(service, name)
        text = f"/* {label} */ {sql}" if is_prepared else sql
        queries[name] = Query(label, text, is_prepared, query.job_kinds, duration)
    return queries


class Session:
    """One connection with the service's named queries; inside `Database.transaction` one transaction.

    Args:
        connection: which one.
        queries: the named queries.
        gives_up: end the connection when an answer does not come in time. Its machine may be frozen or cut
            off, and cancelling the statement would wait for it as long again.
    """

    __slots__ = ("_connection", "_gives_up", "_queries", "has_given_up", "job_kinds")

    def __init__(
        self,
        connection: PoolConnectionProxy[Any],
        queries: Mapping[str, Query],
        *,
        gives_up: bool = False,
    ) -> None:
        self._connection = connection
        self._queries = queries
        self._gives_up = gives_up
        self.has_given_up = False
        self.job_kinds: frozenset[str] = frozenset()
        """The kinds of jobs that were written here and that are due at once."""

    async def rows(self, name: str, *args: object) -> list[asyncpg.Record]:
        return await self._timed(name, self._connection.fetch, args)

    async def row(self, name: str, *args: object) -> asyncpg.Record | None:
        return await self._timed(name, self._connection.fetchrow, args)

    async def value(self, name: str, *args: object) -> Any:
        return await self._timed(name, self._connection.fetchval, args)

    async def execute(self, name: str, *args: object) -> int:
        """Run a statement and return how many rows it touched."""
        status: str = await self._timed(name, self._connection.execute, args)
        count = status.rpartition(" ")[2]
        return int(count) if count.isdecimal() else 0

    async def script(self, sql: str) -> None:
        """Run several statements without parameters, in one round trip."""
        await self.answered(self._connection.execute(sql))

    async def answered(self, answer: Awaitable[T]) -> T:
        """Await what PostgreSQL answers; the caller's own errors in a transaction stay what they are.

        Raises:
            PostgresUnavailableError: it cannot answer, or has not in time.
        """
        try:
            return await answer
        except _UNAVAILABLE as error:
            if self._gives_up and isinstance(error, TimeoutError):
                self.has_given_up = True
                self._connection.terminate()
            raise PostgresUnavailableError(f"PostgreSQL failed: {error}") from error

    async def _timed(
        self, name: str, method: Callable[..., Awaitable[T]], args: Sequence[object]
    ) -> T:
        query = self._queries[name]
        sql = query.sql
        if not query.is_prepared:
            sql = f"/* {query.label} request_id={logs.request_id()} */ {sql}"
        started = perf_counter()
        try:
            with tracing.query(query.label):
                answer = await self.answered(self._done(method, sql, args))
            if query.job_kinds and answer != "INSERT 0 0":
                self.job_kinds |= query.job_kinds
            return answer
        finally:
            seconds = perf_counter() - started
            query.duration.observe(seconds)
            if logs.is_slow(seconds):
                log.warning("slow query", query=name, duration_seconds=round(seconds, 4))

    async def _done(
        self, method: Callable[..., Awaitable[T]], sql: str, args: Sequence[object]
    ) -> T:
        """Run a statement, and again if it was chosen to end a deadlock: nothing of it was done."""
        for _ in range(DEADLOCK_TRIES - 1):
            try:
                return await method(sql, *args)
            except asyncpg.DeadlockDetectedError:
                if self._connection.is_in_transaction():
                    raise
            # Or it may have its first lock again before the other one has it.
            await asyncio.sleep(RETRY_SECONDS)
        return await method(sql, *args)


class Database:
    """A service's pool of connections, under the service's own role.

    Args:
        url: one server, or several of which one takes writes.
        service: whose role it is.
        queries: by their names.
        query_seconds: a connection that has not answered by then is ended, since another server may answer.
            None: with one server, the statement is cancelled after `QUERY_SECONDS`.
    """

    def __init__(
        self,
        url: str,
        service: str,
        queries: Mapping[str, Query],
        *,
        query_seconds: float | None = None,
    ) -> None:
        self._url = url
        self._query_seconds = query_seconds or QUERY_SECONDS
        self._gives_up = query_seconds is not None or postgres_hosts.has_several(url)
        self._service = service
        self._queries = queries
        self._pool: asyncpg.Pool[Any] | None = None
        self._opening = asyncio.Lock()
        self._pinging: asyncio.Task[str] | None = None
        self.waiting = 0
        """Requests that currently wait for a connection."""
        self.wake: Callable[[frozenset[str]], None] = lambda _: None
        """Told the kinds of jobs that were committed and are due at once; set by who opens it."""

    async def _acquire(self) -> tuple[asyncpg.Pool[Any], PoolConnectionProxy[Any]]:
        self.waiting += 1
        try:
            pool = self._pool or await self._open()
            # A timeout makes a task and a timer, which a connection that is free does not need.
            is_free = pool.get_idle_size() > 0
            return pool, await pool.acquire(timeout=None if is_free else ACQUIRE_SECONDS)
        except TimeoutError as error:
            said = self._all_in_use() or "no connection to PostgreSQL was free in time"
            raise PostgresUnavailableError(said) from error
        except _UNAVAILABLE as error:
            raise PostgresUnavailableError(f"PostgreSQL is not reachable: {error}") from error
        finally:
            self.waiting -= 1

    async def _open(self) -> asyncpg.Pool[Any]:
        async with self._opening:
            if self._pool is None:
                self._pool = await postgres_hosts.pool(
                    self._url,
                    min_size=1,
                    max_size=POOL_SIZE,
                    timeout=ACQUIRE_SECONDS,
                    command_timeout=self._query_seconds,
                    max_inactive_connection_lifetime=300,
                    reset=_keep_session,
                    # Texts with a request id never repeat: only the prepared reads and
                    # the transaction's own statements are worth caching.
                    statement_cache_size=60,
                    server_settings={"application_name": self._service},
                )
            return self._pool

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Borrow a connection for single statements.

        Raises:
            PostgresUnavailableError: PostgreSQL is unreachable, or all connections stay in use.
        """
        pool, connection = await self._acquire()
        session = Session(connection, self._queries, gives_up=self._gives_up)
        try:
            yield session
        finally:
            if session.has_given_up:
                # The other connections go to the same machine, and another one may be the primary by now.
                await pool.expire_connections()
            await pool.release(connection)
        if session.job_kinds:
            self.wake(session.job_kinds)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """Borrow a connection and open a transaction that the end of the block commits."""
        async with self.session() as session:
            transaction = session._connection.transaction()
            await session.answered(transaction.start())
            try:
                yield session
            except BaseException:
                # With a lost connection its transaction has ended, too.
                with suppress(*_UNAVAILABLE):
                    await transaction.rollback()
                raise
            await session.answered(transaction.commit())

    async def rows(self, name: str, *args: object) -> list[asyncpg.Record]:
        """Read with a single statement; retry once if the connection turns out to be dead."""
        return await self._read(lambda session: session.rows(name, *args))

    async def row(self, name: str, *args: object) -> asyncpg.Record | None:
        return await self._read(lambda session: session.row(name, *args))

    async def value(self, name: str, *args: object) -> Any:
        return await self._read(lambda session: session.value(name, *args))

    async def _read(self, work: Callable[[Session], Awaitable[T]]) -> T:
        try:
            async with self.session() as session:
                return await work(session)
        except PostgresUnavailableError:
            # A restarted server leaves dead connections behind; the pool has dropped them by now.
            await asyncio.sleep(RETRY_SECONDS)
            async with self.session() as session:
                return await work(session)

    async def ping(self, seconds: float) -> None:
        """Ask PostgreSQL for one row within the given time.

        A query that hangs is not cancelled, since cancelling waits for PostgreSQL too. Callers that
        come meanwhile share it.

        Raises:
            PostgresUnavailableError: there was no answer; the message says why.
        """
        pinging = self._pinging
        if pinging is None or pinging.done():
            pinging = self._pinging = asyncio.create_task(self._ping())
        done, _ = await asyncio.wait({pinging}, timeout=seconds)
        if not done:
            raise PostgresUnavailableError(self._all_in_use() or f"no answer within {seconds:g} s")
        if reason := pinging.result():
            raise PostgresUnavailableError(reason)

    async def _ping(self) -> str:
        """Return why PostgreSQL does not answer, or an empty string if it does."""
        try:
            pool, connection = await self._acquire()
            try:
                await connection.fetchval("SELECT 1")
            finally:
                await pool.release(connection)
        except (PostgresUnavailableError, *_UNAVAILABLE, TimeoutError) as error:
            return str(error) or type(error).__name__
        return ""

    def _all_in_use(self) -> str:
        """Say that who waits for a connection waits for others of this process, if that is so."""
        size, idle = self.connections
        is_so = self.waiting > 0 and size == POOL_SIZE and not idle
        return f"all {size} {IN_USE}" if is_so else ""

    @property
    def connections(self) -> tuple[int, int]:
        """(open, idle) connections of this process."""
        return (self._pool.get_size(), self._pool.get_idle_size()) if self._pool else (0, 0)

    def terminate(self) -> None:
        """Drop the connections without waiting for the server."""
        if self._pool is not None:
            self._pool.terminate()

    async def close(self) -> None:
        if self._pinging is not None:
            self._pinging.cancel()
        if self._pool is not None:
            try:
                await asyncio.wait_for(self._pool.close(), timeout=5)
            except TimeoutError:
                self._pool.terminate()


async def _keep_session(_connection: asyncpg.Connection[Any]) -> None:
    """Skip asyncpg's reset of a returned connection, a round trip: no query changes session state."""
