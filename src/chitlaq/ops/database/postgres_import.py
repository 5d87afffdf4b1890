"""Move the history that earlier versions kept in PostgreSQL and in waiting files, once.

Rows leave PostgreSQL only when the operations database has them, so an interrupted move goes on at the
next start. An installation that never had any finds empty tables.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from chitlaq.core.data.mail import Mail
from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.telemetry import logs
from chitlaq.ops.actions import record
from chitlaq.ops.actions.model import ActionRecord
from chitlaq.ops.checks.runner import Run
from chitlaq.ops.database.database import OpsDatabase, Statement, statement
from chitlaq.ops.history import alert_history, run_history
from chitlaq.ops.history.alert_history import AlertmanagerPayload

RETRY_SECONDS = 5.0

log = logs.get("import")


async def move(home: Home, old: Database, new: OpsDatabase) -> None:
    """Move what there is, as soon as both databases answer.

    Raises:
        msgspec.MsgspecError, asyncpg.PostgresError, OSError: what is left stays where it is.
    """
    moved = 0
    while True:
        try:
            moved += await move_files(home, new) + await move_rows(old, new)
        except (PostgresUnavailableError, OperatorError) as error:
            log.info("earlier history not moved yet", error=str(error))
            await asyncio.sleep(RETRY_SECONDS)
        else:
            if moved:
                log.info("earlier history moved out of PostgreSQL", records=moved)
            return


async def move_rows(old: Database, new: OpsDatabase) -> int:
    """Move the rows of PostgreSQL, and return how many.

    Raises:
        PostgresUnavailableError, OpsDatabaseUnavailableError: what is left is still in PostgreSQL.
    """
    moved = 0
    for name, to in _TABLES.items():
        async with old.transaction() as session:
            rows = await session.rows(name)
            if rows:
                await new.write(*(to(*row.values()) for row in rows))
        moved += len(rows)
    while rows := await old.rows("old_runs"):
        runs = (msgspec.json.decode(row["record"], type=Run) for row in rows)
        await new.write(*(one for run in runs for one in run_history.statements(run)[:2]))
        async with old.transaction() as session:
            await session.execute("forget_old_runs", [row["id"] for row in rows])
        moved += len(rows)
    return moved


def _claim(routine: str, due: object, claimed: object, finished: object) -> Statement:
    return statement("finish_run", routine, due, finished or claimed, 1)


_TABLES: dict[str, Callable[..., Statement]] = {
    "old_notes": lambda *row: statement("add_note", *row),
    "old_actions": lambda *row: statement("store_action", *row),
    "old_alerts": lambda *row: statement("keep_alert", *row),
    "old_schedule": _claim,
    "old_patterns": lambda *row: statement("copy_pattern", *row),
}


async def move_files(home: Home, new: OpsDatabase) -> int:
    """Move the records that waited in files for PostgreSQL, and return how many; ``.broken`` ones stay.

    Raises:
        OpsDatabaseUnavailableError: what is left still waits.
    """
    moved = 0
    for path in sorted((home.ops / "waiting").glob("*/*.json")):
        try:
            found = list(_read(path))
        except msgspec.MsgspecError as error:
            log.error("record set aside", path=str(path), error=str(error))
            path.rename(path.with_suffix(".broken"))
            continue
        await new.write(*found)
        path.unlink()
        moved += 1
    shutil.rmtree(home.ops / "claims", ignore_errors=True)
    return moved


def _read(path: Path) -> Iterator[Statement]:
    content = path.read_bytes()
    match path.parent.name:
        case "runs":
            yield from run_history.statements(msgspec.json.decode(content, type=Run))
        case "actions":
            yield record.storing(msgspec.json.decode(content, type=ActionRecord))
        case "alerts":
            yield from alert_history.statements(
                msgspec.json.decode(content, type=AlertmanagerPayload)
            )
        case "mail":
            msgspec.json.decode(content, type=Mail)
            yield statement("keep_mail", path.stem, content.decode())
