"""What operators do, and the record of it: shown first, asked for, done, and written down.

An action says what it will do before it does it. Each is recorded before it begins and again at its
end, with who did it, why, and what it said; where PostgreSQL is away, in a file that is stored later.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from chitlaq.core import ids
from chitlaq.core.data import postgres
from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.errors import OperatorError
from chitlaq.core.formatting import count, duration, size
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.ops.actions import cleanup
from chitlaq.ops.checks.maintenance import APT_UPGRADE
from chitlaq.ops.checks.model import Section
from chitlaq.ops.history import outbox
from chitlaq.stack.supervisor import control

CONNECT_SECONDS = 5.0
VACUUM_SECONDS = 3600.0
UPDATE_SECONDS = 3600.0
OUTPUT_WIDTH = 20_000
KIND = "actions"
# PostgreSQL keeps process ids in 32 bits.
LARGEST_PROCESS = 2**31 - 1

log = logs.get("actions")


@dataclass(frozen=True, slots=True)
class ActionContext:
    """The installation that an action is done to."""

    home: Home
    settings: Settings


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that an operator may do.

    Args:
        name: the word that is typed.
        title: what it does.
        section: the runbook's chapter that asks for it.
        target: what must be named with it, in words; nothing when it needs none.
        commands: what a person would type for the same.
        plan: what it will do, line by line; looks only.
        do: does it, and says what happened.
    """

    name: str
    title: str
    section: Section
    target: str
    commands: tuple[str, ...]
    plan: Callable[[ActionContext, str], Coroutine[Any, Any, list[str]]]
    do: Callable[[ActionContext, str], Coroutine[Any, Any, str]]


class ActionRecord(msgspec.Struct, frozen=True):
    """An action as it is remembered."""

    id: UUID
    action: str
    target: str
    operator: str
    reason: str
    started_at: datetime
    ended_at: datetime | None
    succeeded: bool | None
    output: str


async def carry_out(
    action: Action,
    context: ActionContext,
    target: str,
    operator: str,
    reason: str,
    database: Database,
) -> ActionRecord:
    """Do it, and keep a record of it whatever happens; a failure is part of the record."""
    record = begun(action.name, target, operator, reason)
    await keep(database, context.home, record)
    try:
        output, succeeded = await action.do(context, target), True
    except (OperatorError, OSError, asyncpg.PostgresError) as error:
        output, succeeded = str(error), False
    except BaseException as error:
        await keep(
            database, context.home, ended(record, f"interrupted: {error!r}", succeeded=False)
        )
        raise
    done = ended(record, output, succeeded=succeeded)
    await keep(database, context.home, done)
    return done


def begun(action: str, target: str, operator: str, reason: str) -> ActionRecord:
    """The record of something that begins now."""
    return ActionRecord(
        ids.new(), action, target, operator, reason, datetime.now(UTC), None, None, ""
    )


def ended(begun: ActionRecord, output: str, *, succeeded: bool) -> ActionRecord:
    """The same record, with what became of it."""
    return msgspec.structs.replace(
        begun, ended_at=datetime.now(UTC), succeeded=succeeded, output=output[:OUTPUT_WIDTH]
    )


async def keep(database: Database, home: Home, done: ActionRecord) -> None:
    """Store a record; in a file, where PostgreSQL is away."""
    try:
        await _store(database, done)
    except (PostgresUnavailableError, asyncpg.PostgresError) as error:
        log.info("record waits for PostgreSQL", action_id=done.id, error=str(error))
        enqueue(home, done)


def enqueue(home: Home, done: ActionRecord) -> None:
    """Keep a record until there is a PostgreSQL to store it.

    What is done is done: where nothing takes the record, the log has it.
    """
    try:
        outbox.enqueue(home, KIND, str(done.id), done)
    except OSError as error:
        log.error("action is not recorded", error=str(error), **msgspec.to_builtins(done))


async def _store(database: Database, done: ActionRecord) -> None:
    async with database.transaction() as session:
        await session.execute(
            "begin_action",
            done.id,
            done.action,
            done.target,
            done.operator,
            done.reason,
            done.started_at,
        )
        if done.ended_at is not None:
            await session.execute("end_action", done.id, done.ended_at, done.succeeded, done.output)


async def store_queued(database: Database, home: Home) -> int:
    """Store the records that wait in files; returns how many.

    Raises:
        PostgresUnavailableError: it is still away.
    """
    return await outbox.store(home, KIND, ActionRecord, partial(_store, database))


async def listed(database: Database, limit: int) -> list[ActionRecord]:
    """Return what was done, newest first."""
    return [
        msgspec.convert(dict(row), ActionRecord, from_attributes=True)
        for row in await database.rows("actions", limit)
    ]


# --- restart


async def _plan_restart(context: ActionContext, service: str) -> list[str]:
    statuses = await asyncio.to_thread(control.ask, context.home, control.Ps())
    chosen = [status for status in statuses if status.service == service]
    if not chosen:
        names = ", ".join(dict.fromkeys(status.service for status in statuses))
        raise OperatorError(f"There is no component {service}; there are {names}.")
    return [f"restart {one.name} (process {one.pid}, {one.state})" for one in chosen]


async def _restart(context: ActionContext, service: str) -> str:
    statuses = await asyncio.to_thread(control.ask, context.home, control.Restart(service))
    return "\n".join(
        f"{one.name}: {one.state}, process {one.pid}" for one in statuses if one.service == service
    )


# --- rotate


async def _plan_rotate(context: ActionContext, _target: str) -> list[str]:
    return [f"begin new files in {context.home.logs}; those so far are kept, numbered"]


async def _rotate(context: ActionContext, _target: str) -> str:
    await asyncio.to_thread(control.ask, context.home, control.Rotate())
    return f"new files in {context.home.logs}"


# --- prune


async def _plan_prune(context: ActionContext, _target: str) -> list[str]:
    found = await asyncio.to_thread(cleanup.candidates, context.home)
    return [f"remove {one.path} ({size(one.bytes)}): {one.reason}" for one in found]


async def _prune(context: ActionContext, _target: str) -> str:
    found = await asyncio.to_thread(cleanup.candidates, context.home)
    freed = await asyncio.to_thread(cleanup.remove, found)
    return f"removed {count(len(found), 'file')}, {size(freed)}"


# --- PostgreSQL, as whoever may do everything there


async def _superuser(context: ActionContext) -> asyncpg.Connection[asyncpg.Record]:
    url = postgres.dsn(context.settings, context.home, "postgres")
    try:
        return await asyncpg.connect(url, timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise OperatorError(f"PostgreSQL is not reachable: {error or 'no answer'}.") from None


_TABLE = re.compile(r"[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*")


async def _plan_vacuum(context: ActionContext, table: str) -> list[str]:
    if not _TABLE.fullmatch(table):
        raise OperatorError(f"{table!r} is no table: write SCHEMA.TABLE, such as feed.posts.")
    connection = await _superuser(context)
    try:
        row = await connection.fetchrow(
            "SELECT n_live_tup AS live, n_dead_tup AS dead, pg_total_relation_size(relid) AS bytes"
            " FROM pg_stat_user_tables WHERE schemaname || '.' || relname = $1",
            table,
        )
    finally:
        await connection.close()
    if row is None:
        raise OperatorError(f"There is no table {table}: `chitlaq ops check database.dead_rows`.")
    return [
        f"VACUUM (ANALYZE) {table}, which blocks no reader and no writer",
        f"{row['dead']:,} dead rows beside {row['live']:,} live ones, {size(row['bytes'])}",
    ]


async def _vacuum(context: ActionContext, table: str) -> str:
    await _plan_vacuum(context, table)
    connection = await _superuser(context)
    try:
        await connection.execute(f"VACUUM (ANALYZE) {table}", timeout=VACUUM_SECONDS)
    finally:
        await connection.close()
    return f"vacuumed {table}"


async def _session(context: ActionContext, process: str) -> tuple[int, str]:
    """(process id, what it does) of a client's session."""
    if not re.fullmatch(r"[0-9]{1,10}", process) or int(process) > LARGEST_PROCESS:
        raise OperatorError(f"{process!r} is no process of PostgreSQL: write its number.")
    connection = await _superuser(context)
    try:
        row = await connection.fetchrow(
            "SELECT pid, usename, application_name, state, query,"
            " extract(epoch FROM now() - coalesce(xact_start, state_change))::float8 AS seconds"
            " FROM pg_stat_activity WHERE pid = $1 AND backend_type = 'client backend'"
            " AND pid <> pg_backend_pid()",
            int(process),
        )
    finally:
        await connection.close()
    if row is None:
        raise OperatorError(f"PostgreSQL has no client's session {process}: it may have ended.")
    words = " ".join(row["query"].split())
    return int(process), (
        f"{row['usename']} ({row['application_name'] or 'unnamed'}), {row['state']} for"
        f" {duration(row['seconds'] or 0)}: {words}"
    )


async def _plan_kill(context: ActionContext, process: str) -> list[str]:
    number, words = await _session(context, process)
    return [f"end session {number}, whose open transaction is rolled back: {words}"]


async def _kill(context: ActionContext, process: str) -> str:
    number, words = await _session(context, process)
    connection = await _superuser(context)
    try:
        ended = await connection.fetchval("SELECT pg_terminate_backend($1, 5000)", number)
    finally:
        await connection.close()
    if not ended:
        raise OperatorError(f"Session {number} did not end within 5 s.")
    return f"ended session {number}: {words}"


# --- updates


async def _apt(*words: str, seconds: float) -> str:
    program = shutil.which("apt-get")
    if program is None:
        raise OperatorError("This machine has no apt-get: update it by its own package manager.")
    process = await asyncio.create_subprocess_exec(
        program,
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
    )
    try:
        async with asyncio.timeout(seconds):
            said, _ = await process.communicate()
    except TimeoutError:
        raise OperatorError(f"apt-get did not end within {duration(seconds)}.") from None
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    text = said.decode(errors="replace")
    if process.returncode:
        raise OperatorError(f"apt-get failed: {text.strip()[-500:]}")
    return text


async def _plan_updates(_context: ActionContext, _target: str) -> list[str]:
    text = await _apt("-s", "-o", "Debug::NoLocking=1", *APT_UPGRADE, seconds=120)
    known = [line for line in text.splitlines() if line.startswith("Inst ")]
    return [
        "fetch the lists of packages, which may name more than they do now",
        *(line.replace("Inst", "update", 1) for line in known),
    ]


async def _updates(_context: ActionContext, _target: str) -> str:
    if os.geteuid() != 0:
        raise OperatorError("Updating the machine needs root: use sudo.")
    # By itself apt goes on with old lists where it got no new ones, and all seems well.
    fetched = await _apt("-o", "APT::Update::Error-Mode=any", "update", seconds=UPDATE_SECONDS)
    return fetched + await _apt("-y", *APT_UPGRADE, seconds=UPDATE_SECONDS)


ACTIONS: Mapping[str, Action] = {
    one.name: one
    for one in (
        Action(
            "restart",
            "Restart a component; services are replaced without losing a request",
            Section.INCIDENTS,
            "a component",
            ("chitlaq restart SERVICE",),
            _plan_restart,
            _restart,
        ),
        Action(
            "kill",
            "End a session of PostgreSQL that others wait for",
            Section.INCIDENTS,
            "a process of PostgreSQL",
            ('chitlaq exec postgres psql -U postgres -c "SELECT pg_terminate_backend(PID);"',),
            _plan_kill,
            _kill,
        ),
        Action(
            "rotate",
            "Begin new log files",
            Section.MAINTENANCE,
            "",
            ("chitlaq rotate", "sudo logrotate -f /etc/logrotate.d/chitlaq"),
            _plan_rotate,
            _rotate,
        ),
        Action(
            "prune",
            "Remove what may go without loss: old rotated logs, drafts, unpacked archives",
            Section.MAINTENANCE,
            "",
            ("chitlaq ops do prune",),
            _plan_prune,
            _prune,
        ),
        Action(
            "vacuum",
            "Vacuum a table",
            Section.MAINTENANCE,
            "a table",
            ('chitlaq exec postgres psql -U postgres -d chitlaq -c "VACUUM (ANALYZE) TABLE;"',),
            _plan_vacuum,
            _vacuum,
        ),
        Action(
            "updates",
            "Install the machine's updates that wait",
            Section.MAINTENANCE,
            "",
            ("sudo apt update", "sudo apt upgrade"),
            _plan_updates,
            _updates,
        ),
    )
}


def named(name: str, target: str) -> Action:
    """Return an action, when what it needs is named with it.

    Raises:
        OperatorError: there is none of this name, or its target is missing or too much.
    """
    if name not in ACTIONS:
        raise OperatorError(f"There is no action {name}; there are {', '.join(ACTIONS)}.")
    action = ACTIONS[name]
    if action.target and not target:
        raise OperatorError(f"{name} needs {action.target}: `chitlaq ops do {name} …`.")
    if target and not action.target:
        raise OperatorError(f"{name} takes nothing more: `chitlaq ops do {name}`.")
    return action
