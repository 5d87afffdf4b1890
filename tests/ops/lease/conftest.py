"""A database for leases alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import asyncpg
import pytest

from chitlaq.core.data import postgres
from chitlaq.core.data.postgres import Database
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import SecretUrl
from chitlaq.core.installation.settings import Settings
from chitlaq.ops.database.database import OpsDatabase, statement
from chitlaq.ops.lease.lease import Lease
from chitlaq.ops.lease.told import Told
from chitlaq.ops.oncall import overrides
from tests.conftest import Stack

HOUR = timedelta(hours=1)
MIGRATIONS = (
    "0066_lease_of_operations",
    "0074_what_operations_were_told",
    "0076_subscribers_of_the_status_page",
)


class Shared:
    """A database with nothing but what the lease needs."""

    def __init__(self, stack: Stack, name: str) -> None:
        self.stack = stack
        self.name = name
        self.url = stack.dsn("chitlaq_ops", name)
        self._opened: list[Database] = []

    async def sql(self, statement: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.stack.dsn(database=self.name))
        try:
            return await connection.fetch(statement)
        finally:
            await connection.close()

    async def go_away(self) -> None:
        await self.stack.sql(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS false")
        await self.stack.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", self.name
        )

    async def come_back(self) -> None:
        await self.stack.sql(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS true")

    def close(self) -> None:
        for database in self._opened:
            database.terminate()

    def lease(self, folder: Path) -> Lease:
        queries = postgres.load_queries("chitlaq.ops.lease", "test", "chitlaq.ops.statuspage")
        database = Database(self.url, "test", queries)
        self._opened.append(database)
        return Lease(Home(folder), Settings(database_url=SecretUrl(self.url)), database)


@pytest.fixture
async def shared(stack: Stack, name: Callable[[], str]) -> AsyncIterator[Shared]:
    database = f"lease_{name()}".replace("-", "_")
    await stack.sql(f"CREATE DATABASE {database}")
    shared = Shared(stack, database)
    connection = await asyncpg.connect(stack.dsn(database=database))
    await connection.execute("CREATE SCHEMA ops; GRANT USAGE ON SCHEMA ops TO chitlaq_ops")
    for file in MIGRATIONS:
        migration = resources.files("chitlaq.migrations").joinpath(f"{file}.sql")
        await connection.execute(migration.read_text())
    await connection.close()
    yield shared
    shared.close()
    await stack.sql(f"DROP DATABASE {database} WITH (FORCE)")


class Machine:
    """An ops-service's memory, and its part in the lease."""

    def __init__(self, shared: Shared, folder: Path) -> None:
        self.shared = shared
        self.memory = OpsDatabase(Home(folder))
        self.lease: Lease = shared.lease(folder)
        self.lease._is_alone = True
        self._told = Told(self.memory, self.lease._database, self.lease)

    async def take(self) -> None:
        """Take the lease from whoever holds it."""
        await self.shared.sql("UPDATE ops.lease SET expires_at = clock_timestamp()")
        await self.lease._attempt()
        assert self.lease.may_change

    async def share(self) -> None:
        await self.lease._attempt()
        await self._told.share()

    def may_tell(self) -> bool:
        return self._told.may_tell

    async def stand_in(self, person: str) -> str:
        now = datetime.now(UTC)
        await self.memory.write(
            statement("add_override", person, "web", person, now, now + HOUR, "ada", "")
        )
        return person

    async def stand_ins(self) -> set[str]:
        return {one.person for one in await overrides.listed(self.memory, datetime.now(UTC))}


@pytest.fixture
async def two(shared: Shared, tmp_path: Path) -> tuple[Machine, Machine]:
    """The first holds the lease."""
    first, second = (Machine(shared, tmp_path / name) for name in ("one", "two"))
    await first.take()
    await second.lease._attempt()
    return first, second
