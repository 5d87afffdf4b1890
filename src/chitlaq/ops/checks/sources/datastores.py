"""PostgreSQL and Valkey as checks query them: with short timeouts; each failure states its reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg

from chitlaq.core.data import postgres, postgres_hosts, valkey
from chitlaq.core.errors import OperatorError, UnknownResult
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.ops.checks.sources import judged_by

T = TypeVar("T")

CONNECT_SECONDS = 2.0
SESSION_SECONDS = 3.0
LOCK_SECONDS = 2.0
"""Less than a statement may take, so that the server says that it was a lock."""
SESSIONS = 4
ROLE = "chitlaq_ops"


def psql(statement: str) -> str:
    """Return a shell command that does what a check does with PostgreSQL."""
    return f'chitlaq exec postgres psql -U postgres -d chitlaq -c "{statement}"'


class NoConnectionLeft(UnknownResult):
    """PostgreSQL answers, but every connection is taken."""


class PostgresView:
    """Runs named queries in a small pool that is opened at the first of them."""

    def __init__(self, home: Home, settings: Settings) -> None:
        self._home = home
        self._settings = settings
        self._pool: asyncpg.Pool[Any] | None = None
        self._opening = asyncio.Lock()
        self._queries = postgres.load_queries(
            "chitlaq.ops.checks",
            "checks",
            "chitlaq.monitoring.expected",
            "chitlaq.monitoring.locks",
            "chitlaq.ops.lease",
        )

    async def rows(self, name: str, *args: object) -> list[asyncpg.Record]:
        """Return the rows of a named query.

        Raises:
            NoConnectionLeft: every connection is taken.
            UnknownResult: PostgreSQL is unavailable, or refuses.
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
                    self._pool = await postgres_hosts.pool(
                        postgres.dsn(self._settings, self._home, ROLE),
                        min_size=0,
                        max_size=SESSIONS,
                        timeout=CONNECT_SECONDS,
                        server_settings={
                            "application_name": "chitlaq-checks",
                            # A check that gives up leaves nothing behind that waits for a lock.
                            "statement_timeout": f"{SESSION_SECONDS + 1:g}s",
                            "lock_timeout": f"{LOCK_SECONDS:g}s",
                        },
                    )
            async with self._pool.acquire(timeout=SESSION_SECONDS) as connection:
                try:
                    yield connection
                except TimeoutError:
                    # Returning it to the pool would wait again for a server that does not answer.
                    connection.terminate()
                    raise UnknownResult(
                        f"PostgreSQL did not answer within {SESSION_SECONDS:g} s",
                        judged_by.POSTGRES,
                    ) from None
        except asyncpg.TooManyConnectionsError as error:
            raise NoConnectionLeft(
                f"PostgreSQL has no connection left: {error}", judged_by.CONNECTIONS
            ) from None
        except asyncpg.LockNotAvailableError:
            raise UnknownResult(
                f"others have locked what it reads in PostgreSQL for more than {LOCK_SECONDS:g} s",
                judged_by.LOCKS,
            ) from None
        except TimeoutError:
            raise UnknownResult(
                f"PostgreSQL did not answer within {CONNECT_SECONDS:g} s", judged_by.POSTGRES
            ) from None
        except (
            OSError,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            # The server ends while the client does something else with the connection.
            asyncpg.InternalClientError,
            OperatorError,
        ) as error:
            # An OSError without a number says so itself.
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise UnknownResult(f"PostgreSQL: {why}", judged_by.POSTGRES) from None

    def close(self) -> None:
        if self._pool is not None:
            self._pool.terminate()


class ValkeyView:
    """Sends commands over a connection that is opened at the first of them."""

    def __init__(self, home: Home, settings: Settings) -> None:
        self._home = home
        self._settings = settings
        self._client: valkey.Valkey | None = None

    async def each(self, *command: str) -> dict[str, Any]:
        """Return the answer to a command of the server, or of each node of a cluster, by its name.

        Raises:
            UnknownResult: Valkey is unavailable, or refuses; of a cluster, a single node.
        """
        return await self._asked(lambda client: client.each(*command))

    async def require_writes(self) -> None:
        """Make sure that the server, or every node of a cluster, takes writes.

        Raises:
            UnknownResult: Valkey is unavailable, or refuses; of a cluster, a single node.
        """
        await self._asked(valkey.Valkey.require_writes)

    async def _asked(self, ask: Callable[[valkey.Valkey], Awaitable[T]]) -> T:
        try:
            if self._client is None:
                self._client = valkey.connect(self._settings, self._home)
            return await ask(self._client)
        except valkey.UNAVAILABLE as error:
            raise UnknownResult(f"Valkey: {error}", judged_by.VALKEY) from None
        except OperatorError as error:
            raise UnknownResult(str(error), judged_by.VALKEY) from None

    async def info(self, section: str) -> Mapping[str, Mapping[str, str]]:
        """Return ``INFO SECTION`` of each node by field name."""
        answers = await self.each("INFO", section)
        return {node: _fields(text.decode(errors="replace")) for node, text in answers.items()}

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()


def _fields(info: str) -> Mapping[str, str]:
    pairs = (line.partition(":") for line in info.splitlines() if ":" in line)
    return {name: value for name, _, value in pairs}
