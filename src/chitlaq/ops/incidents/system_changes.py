"""Restarts of components and new versions of ChitLaq, as lines of a timeline: often they are the cause.

What was seen last is stored, so what happens while ops-service is down is seen as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

from chitlaq import __version__
from chitlaq.core import ids
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.ops.database.database import OpsDatabase, Statement, Transaction, statement
from chitlaq.stack.supervisor import control
from chitlaq.stack.supervisor.control import Status

POLL_SECONDS = 10.0
VERSION = "chitlaq"
NAMED = 4
"""If more components than this restart at once, it is one line."""


async def watch_forever(database: OpsDatabase, home: Home) -> None:
    """Ask the supervisor every few seconds, as long as there is one."""
    while True:
        # Without a supervisor there is nothing to see; what a full disk keeps out, the next look sees.
        with suppress(OperatorError, OSError, msgspec.DecodeError):
            statuses = await asyncio.to_thread(control.ask, home, control.Ps())
            await see(database, statuses, __version__)
        await asyncio.sleep(POLL_SECONDS)


async def see(database: OpsDatabase, statuses: Sequence[Status], version: str) -> None:
    """Note which components are other processes than when they were last seen, and which version runs."""
    now = {one.name: str(one.pid) for one in statuses if one.pid is not None}

    def noted(transaction: Transaction) -> None:
        before = {row["component"]: row["state"] for row in transaction.rows("components_seen")}
        seen = {**now, VERSION: version}
        differ = {name: state for name, state in seen.items() if before.get(name) != state}
        at = datetime.now(UTC)
        transaction.write(
            *(statement("see_component", name, state) for name, state in differ.items()),
            *_lines({name: before[name] for name in differ if name in before}, seen, at),
        )

    await database.transact(noted)


def _lines(was: Mapping[str, str], seen: Mapping[str, str], at: datetime) -> list[Statement]:
    lines = []
    if VERSION in was:
        lines.append(_line(at, "deploy", f"ChitLaq {was[VERSION]} → {seen[VERSION]}"))
    restarted = [name for name in was if name != VERSION]
    if len(restarted) > NAMED:
        text = f"{len(restarted)} components restarted: {', '.join(restarted)}"
        return [*lines, _line(at, "restart", text)]
    return lines + [
        _line(at, "restart", f"{name} restarted: process {was[name]} is {seen[name]} now")
        for name in restarted
    ]


def _line(at: datetime, kind: str, text: str) -> Statement:
    return statement("add_change", ids.new(), at, kind, text)
