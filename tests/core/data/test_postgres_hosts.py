"""Several PostgreSQL servers: the one that takes writes is found, also when another hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import pytest

from chitlaq.core.data import postgres, postgres_hosts
from chitlaq.core.data.postgres import Database, Query
from chitlaq.core.telemetry import metrics
from tests.conftest import Stack, free_ports

WRITES = "target_session_attrs=read-write"


class Relay:
    """Stands before PostgreSQL as another machine would, and can freeze: it accepts and says nothing."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._is_running = asyncio.Event()
        self._is_running.set()
        self._serving: set[asyncio.Task[None] | None] = set()
        self.port = 0

    def freeze(self) -> None:
        self._is_running.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.current_task())
        await self._is_running.wait()
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        await asyncio.gather(self._carry(reader, back), self._carry(there, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                await self._is_running.wait()
                writer.write(data)
        writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Relay]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            # Who waits for one that is frozen would wait for ever.
            for one in filter(None, self._serving):
                one.cancel()


@pytest.fixture
async def relay(stack: Stack) -> AsyncIterator[Relay]:
    async with Relay(stack.ports["postgres"]).running() as relay:
        yield relay


def url_of(stack: Stack, *ports: int) -> str:
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    user, _, rest = stack.dsn().rpartition("@")
    return f"{user}@{hosts}/{rest.partition('/')[2]}?{WRITES}"


async def test_frozen_and_closed_servers_delay_no_connection(stack: Stack, relay: Relay) -> None:
    relay.freeze()
    url = url_of(stack, relay.port, *free_ports(1), stack.ports["postgres"])
    connection = await asyncio.wait_for(postgres_hosts.connect(url, timeout=30), 20)
    assert await connection.fetchval("SELECT inet_server_port()") == stack.ports["postgres"]
    await connection.close()


async def test_server_that_takes_no_writes_is_not_used(stack: Stack) -> None:
    """A database that only reads stands for a standby: PostgreSQL says the same of both."""
    await stack.sql("ALTER ROLE chitlaq_search SET default_transaction_read_only = on")
    try:
        url = url_of(stack, stack.ports["postgres"], *free_ports(1)).replace(
            stack.dsn().partition("@")[0], stack.dsn("chitlaq_search").partition("@")[0]
        )
        with pytest.raises((asyncpg.TargetServerAttributeNotMatched, OSError)):
            await postgres_hosts.connect(url, timeout=30)
    finally:
        await stack.sql("ALTER ROLE chitlaq_search RESET default_transaction_read_only")


async def test_service_leaves_a_server_that_hangs_for_another(
    stack: Stack, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "QUERY_SECONDS", 1.0)
    duration = metrics.POSTGRESQL_QUERY_DURATION.labels("test", "one")
    queries = {
        "one": Query(
            "test.one", "SELECT 1", is_prepared=True, job_kinds=frozenset(), duration=duration
        )
    }
    first = url_of(stack, relay.port, *free_ports(1))
    database = Database(first, "test", queries)
    try:
        assert await database.value("one") == 1
        relay.freeze()
        # The other server has become the primary.
        pool = database._pool
        assert pool is not None
        pool.set_connect_args(url_of(stack, relay.port, stack.ports["postgres"]), timeout=3)
        assert await asyncio.wait_for(database.value("one"), 10) == 1
    finally:
        database.terminate()


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://me:x@one:1,two/d", [("one", 1), ("two", 5432)]),
        ("postgresql://[::1]:7,[fe80::1]/d", [("::1", 7), ("fe80::1", 5432)]),
        ("postgresql:///d?host=/run", [("", 5432)]),
    ],
)
def test_hosts_of_a_url(url: str, hosts: list[tuple[str, int]]) -> None:
    assert postgres_hosts.hosts_of(url) == hosts


def test_url_of_one_of_the_servers_keeps_the_rest() -> None:
    url = f"postgresql://me:x@one:1,two/d?{WRITES}"
    assert postgres_hosts.with_host(url, "::1", 7) == f"postgresql://me:x@[::1]:7/d?{WRITES}"
