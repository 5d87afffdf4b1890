"""A PostgreSQL server for these tests, and an empty, migrated database for each seeding."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import count

import asyncpg
import psycopg
import pytest

from chitlaq.core.data import migrations, postgres
from chitlaq.core.host import programs
from chitlaq.core.installation import secrets
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Ports, Settings
from chitlaq.stack.install import users
from chitlaq.stack.servers import postgres as server
from tests.conftest import free_ports, new_home

START_SECONDS = 30

Installation = tuple[Settings, Home]
NewDatabase = Callable[[], Awaitable[str]]


@pytest.fixture(scope="session")
def installation() -> Iterator[Installation]:
    """Settings and home of a running, migrated PostgreSQL, removed afterwards."""
    root = new_home()
    home, settings = Home(root), Settings(ports=Ports(postgres=free_ports(1)[0]))
    process = None
    try:
        home.run.mkdir()
        secrets.ensure(home)
        server.prepare(home, settings)
        with (root / "postgres.log").open("wb") as log:
            process = programs.start(
                server.command(home, settings),
                output=log,
                folder=root,
                user=users.service_user(),
                death_signal=None,
            )
        wait_until_answering(postgres.dsn(settings, home, "postgres", "postgres"))
        migrations.provision(settings, home)
        migrations.apply(settings, home)
        yield settings, home
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)
            process.wait(START_SECONDS)
        shutil.rmtree(root)


def wait_until_answering(dsn: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(dsn).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


@pytest.fixture(scope="session")
def new_database(installation: Installation) -> NewDatabase:
    """Make a migrated database without members, and return its URL as the schema's owner."""
    settings, home = installation
    numbers = count(1)

    async def make() -> str:
        name = f"seeding_{next(numbers)}"
        connection = await asyncpg.connect(postgres.dsn(settings, home, "postgres", "postgres"))
        try:
            await connection.execute(
                f"CREATE DATABASE {name} OWNER {postgres.OWNER} TEMPLATE {postgres.DATABASE}"
            )
        finally:
            await connection.close()
        return postgres.dsn(settings, home, postgres.OWNER, name)

    return make
