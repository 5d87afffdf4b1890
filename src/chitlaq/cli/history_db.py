"""How commands read and write the history of operations."""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from chitlaq.core.installation.home import Home

if TYPE_CHECKING:
    from chitlaq.ops.database.database import OpsDatabase

T = TypeVar("T")

Operator = Annotated[
    str | None, typer.Option("--as", help="Who runs this, for the record. Default: the user.")
]


def ask(work: Callable[[OpsDatabase], Awaitable[T]]) -> T:
    """Run something with the history open.

    Raises:
        OperatorError: it cannot be read or written.
    """
    from chitlaq.ops.database.database import OpsDatabase

    async def asked() -> T:
        with OpsDatabase(Home.from_environment()) as database:
            return await work(database)

    return asyncio.run(asked())


def require_here() -> None:
    """Make sure that what an operator says here reaches whoever calls people.

    Raises:
        OperatorError: another machine's ops-service does.
    """
    from chitlaq.cli import installation
    from chitlaq.ops.lease import asking

    asyncio.run(asking.require_here(*installation.current()))


def record(words: str, target: str, named: str | None) -> None:
    """Record what a command has done, for `chitlaq ops actions`.

    Args:
        words: the command's.
        target: what it was done to.
        named: who did it, as `operator` takes it.

    Raises:
        OperatorError: the history cannot be written.
    """
    from chitlaq.ops.actions import record as records

    done = records.begun(words, target, operator(named), "")
    ask(lambda database: records.store(database, records.ended(done, "", succeeded=True)))


def operator(named: str | None) -> str:
    """Return who runs the command, for the record: the given name, else the user, even under sudo."""
    if named:
        return named
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
