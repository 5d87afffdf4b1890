"""How commands read and write the history of operations."""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from chitlaq.cli import installation
from chitlaq.core.errors import OperatorError

if TYPE_CHECKING:
    from chitlaq.core.data.postgres import Database

T = TypeVar("T")

Operator = Annotated[
    str | None, typer.Option("--as", help="Who runs this, for the record. Default: the user.")
]


def ask(work: Callable[[Database], Awaitable[T]]) -> T:
    """Run something with the history open.

    Raises:
        OperatorError: PostgreSQL is unavailable.
    """
    from chitlaq.core.data.postgres import PostgresUnavailableError
    from chitlaq.ops.history.database import open_database

    home, settings = installation.current()

    async def asked() -> T:
        async with open_database(home, settings) as database:
            return await work(database)

    try:
        return asyncio.run(asked())
    except PostgresUnavailableError as error:
        raise OperatorError(f"{error}. Is the stack up? See `chitlaq ps`.") from None


def operator(named: str | None) -> str:
    """Return who runs the command, for the record: the given name, else the user, even under sudo."""
    if named:
        return named
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
