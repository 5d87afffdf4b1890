"""ejabberd beside the benchmark of chat: the same load, the same PostgreSQL, archived and acknowledged.

It must be installed, as by ``apt-get install ejabberd erlang-p1-pgsql``; it runs with a configuration of its
own in the benchmark's folder, and what the package started is not touched.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from chitlaq.bench import processes
from chitlaq.bench.installation import Installation
from chitlaq.core.data import postgres
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import programs
from chitlaq.core.installation.ports import free_ports

SCHEMA = Path("/usr/share/ejabberd/sql/pg.sql")
LIBRARIES = Path("/usr/lib")
DATABASE = "ejabberd"
POOL_SIZE = 10

CONFIGURATION = """\
hosts: [localhost]
loglevel: warning
default_db: sql
auth_method: sql
auth_password_format: plain
listen:
  - {{port: {port}, ip: "127.0.0.1", module: ejabberd_c2s, access: everybody, shaper: none, starttls: false}}
access_rules: {{everybody: {{allow: all}}}}
modules:
  mod_mam: {{default: always, db_type: sql, assume_mam_usage: true}}
  mod_stream_mgmt: {{max_ack_queue: 50000, ack_timeout: 300s}}
  mod_roster: {{}}
  mod_offline: {{}}
sql_type: pgsql
sql_server: 127.0.0.1
sql_port: {postgres_port}
sql_database: {database}
sql_username: {database}
sql_password: {password}
sql_pool_size: {pool}
"""


def require() -> None:
    """Look whether it is installed.

    Raises:
        OperatorError: it is not; the message says how to install it.
    """
    if programs.find("erl") is None or _libraries() is None or not SCHEMA.exists():
        raise OperatorError(
            "ejabberd is not installed: apt-get install ejabberd erlang-p1-pgsql, on Debian and Ubuntu."
        )


def _libraries() -> Path | None:
    """Where the package keeps ejabberd, and what it stands on."""
    return next((found.parent for found in LIBRARIES.glob("*/ejabberd-*")), None)


@asynccontextmanager
async def running(installation: Installation, users: list[str]) -> AsyncIterator[tuple[int, int]]:
    """Run ejabberd for these users; yield its port and its process.

    Raises:
        OperatorError: it did not start.
    """
    folder = installation.home.root / "ejabberd"
    folder.mkdir()
    password = secrets.token_hex(16)
    await _create_database(installation, password, users)
    (port,) = free_ports(1)
    configuration = folder / "ejabberd.yml"
    configuration.write_text(
        CONFIGURATION.format(
            port=port,
            postgres_port=installation.settings.port_of("postgres"),
            database=DATABASE,
            password=password,
            pool=POOL_SIZE,
        )
    )
    command = [
        "erl",
        "-noinput",
        "+K",
        "true",
        "-mnesia",
        "dir",
        f'"{folder}/db"',
        "-s",
        "ejabberd",
    ]
    environment = os.environ | {
        "EJABBERD_CONFIG_PATH": str(configuration),
        "EJABBERD_LOG_PATH": str(folder / "ejabberd.log"),
        "ERL_LIBS": str(_libraries()),
        "ERL_CRASH_DUMP": str(folder / "crash"),
        "HOME": str(folder),
    }
    log = installation.home.logs / "ejabberd.log"
    async with processes.running([command], None, port, log, environment) as (process,):
        yield port, process.pid


async def _create_database(installation: Installation, password: str, users: list[str]) -> None:
    settings, home = installation.settings, installation.home
    async with postgres.connection(postgres.dsn(settings, home, "postgres")) as connection:
        await connection.execute(f"CREATE ROLE {DATABASE} LOGIN PASSWORD '{password}'")
        await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {DATABASE}")
    owned = postgres.dsn(settings, home, "postgres", DATABASE)
    async with postgres.connection(owned) as connection:
        await connection.execute(f"SET ROLE {DATABASE}")
        await connection.execute(await asyncio.to_thread(SCHEMA.read_text))
        await connection.executemany(
            "INSERT INTO users (username, password) VALUES ($1, $1)", [(user,) for user in users]
        )
