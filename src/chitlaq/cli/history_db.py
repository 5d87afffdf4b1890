"""What commands read from the history of operations, and write to it."""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from chitlaq.cli import installation
from chitlaq.core.errors import OperatorError

if TYPE_CHECKING:
    from chitlaq.core.data.postgres import Database
    from chitlaq.core.installation.home import Home
    from chitlaq.core.installation.settings import Settings
    from chitlaq.ops.routines import Run

T = TypeVar("T")

NOTES_SECONDS = 3.0


@asynccontextmanager
async def database(home: Home, settings: Settings) -> AsyncIterator[Database]:
    """Open the history; nothing is connected before it is asked."""
    from chitlaq.core.data import postgres

    queries = {
        **postgres.load_queries("chitlaq.core.data", "chitlaq"),
        **postgres.load_queries("chitlaq.ops", "chitlaq"),
    }
    opened = postgres.Database(postgres.dsn(settings, home, "chitlaq_ops"), "chitlaq-ops", queries)
    try:
        yield opened
    finally:
        opened.terminate()


def ask(work: Callable[[Database], Awaitable[T]]) -> T:
    """Do something with the history.

    Raises:
        OperatorError: PostgreSQL is away.
    """
    from chitlaq.core.data.postgres import PostgresUnavailableError

    home, settings = installation.current()

    async def asked() -> T:
        async with database(home, settings) as opened:
            return await work(opened)

    try:
        return asyncio.run(asked())
    except PostgresUnavailableError as error:
        raise OperatorError(f"{error}: is the stack up? `chitlaq ps` tells.") from None


async def with_notes(home: Home, settings: Settings, run: Run) -> Run:
    """Return a run with what operators said to its checks; as it is where PostgreSQL does not tell."""
    from chitlaq.core.data.postgres import PostgresUnavailableError
    from chitlaq.ops.history import run_history

    try:
        async with asyncio.timeout(NOTES_SECONDS), database(home, settings) as opened:
            return await run_history.with_notes(opened, run)
    except (TimeoutError, PostgresUnavailableError):
        return run


def operator(named: str | None) -> str:
    """Who types, for the record: whoever was named, else the user, behind sudo too."""
    if named:
        return named
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
