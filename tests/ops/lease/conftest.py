"""A database for leases alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from importlib import resources
from pathlib import Path

import asyncpg
import pytest

from chitlaq.core.data import postgres
from chitlaq.core.data.postgres import Database
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import SecretUrl
from chitlaq.core.installation.settings import Settings
from chitlaq.ops.lease.lease import Lease
from tests.conftest import Stack

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
