"""Bring the services of a running stack to this installed version, and record it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from chitlaq import inventory
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import programs
from chitlaq.core.installation import settings_loading
from chitlaq.core.installation.home import Home
from chitlaq.ops.actions import record
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.stack.supervisor import control, release
from chitlaq.stack.supervisor.release import Release

ASK_SECONDS = 30.0
WHERE = "import pathlib, chitlaq; print(pathlib.Path(chitlaq.__file__).resolve().parent)"


def wanted(home: Home) -> Release:
    """Return this version as the supervisor will start it.

    Raises:
        NotRunningError: no stack runs here.
        OperatorError: the services cannot be replaced by it, whatever state they are in.
    """
    mine, running = release.own(), control.running_release(home)
    if running is None:
        raise OperatorError(
            "The supervisor that runs is of a version that cannot replace services by another one:"
            " `chitlaq down` there, and `chitlaq up` here."
        )
    if running.folder == mine.folder:
        raise OperatorError(
            f"The services run from {mine.folder} already. Install the other version beside it, in a folder"
            " of its own, and run this command with its program."
        )
    settings = settings_loading.load(home)
    ours = {row.name for row in inventory.SERVICES if settings.embeds(row.name)}
    theirs = {one.service for one in control.ask(home, control.Ps()) if one.version} - {"migrate"}
    if ours != theirs:
        raise OperatorError(
            f"The versions do not have the same services ({', '.join(sorted(ours ^ theirs))}):"
            " `chitlaq down` there, and `chitlaq up` here."
        )
    _require_found(mine)
    return mine


def _require_found(mine: Release) -> None:
    """Require that this version is found from every folder, not only from where the command is typed."""
    found = (
        programs.run([mine.python, "-c", WHERE], timeout_seconds=ASK_SECONDS, folder=Path("/"))
        .checked()
        .strip()
    )
    if found != mine.folder:
        raise OperatorError(
            f"{mine.python} finds ChitLaq in {found or 'no folder'}, not in {mine.folder}: install it there"
            " (`pip install`), so that it is found from every folder."
        )


async def carry_out(
    home: Home,
    wanted: Release,
    watch_seconds: float,
    operator: str,
    database: OpsDatabase,
    say: Callable[[str], None],
) -> None:
    """Replace the services, and record it before and after.

    Args:
        home: the installation.
        wanted: the version.
        watch_seconds: how long the services are watched once all run in it.
        operator: who does it.
        database: where it is recorded.
        say: told what it is at.

    Raises:
        OperatorError: they do not run in it, and why; the message says in which one they do.
    """
    begun = record.begun("upgrade", f"{wanted.version} ({wanted.folder})", operator, "")
    await record.store(database, begun)
    command = control.Upgrade(wanted, watch_seconds)
    try:
        await asyncio.to_thread(control.ask, home, command, say)
    except OperatorError as error:
        await record.store(database, record.ended(begun, str(error), succeeded=False))
        raise
    done = f"Everything runs {wanted.version}."
    await record.store(database, record.ended(begun, done, succeeded=True))
