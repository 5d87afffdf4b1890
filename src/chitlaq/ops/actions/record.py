"""Carry out an action, and record it before it begins and after it ends."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import asyncpg
import msgspec

from chitlaq.core import ids
from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.telemetry import logs
from chitlaq.ops.actions.model import Action, ActionContext, ActionRecord
from chitlaq.ops.history import spool

OUTPUT_WIDTH = 20_000
KIND = "actions"

log = logs.get("actions")


async def carry_out(
    action: Action,
    context: ActionContext,
    target: str,
    operator: str,
    reason: str,
    database: Database,
) -> ActionRecord:
    """Carry out an action and record it, whether it succeeds or fails."""
    record = begun(action.name, target, operator, reason)
    await store_or_enqueue(database, context.home, record)
    try:
        output, succeeded = await action.do(context, target), True
    except (OperatorError, OSError, asyncpg.PostgresError) as error:
        output, succeeded = str(error), False
    except BaseException as error:
        await store_or_enqueue(
            database, context.home, ended(record, f"interrupted: {error!r}", succeeded=False)
        )
        raise
    done = ended(record, output, succeeded=succeeded)
    await store_or_enqueue(database, context.home, done)
    return done


def begun(action: str, target: str, operator: str, reason: str) -> ActionRecord:
    """Return the record of something that begins now."""
    return ActionRecord(
        ids.new(), action, target, operator, reason, datetime.now(UTC), None, None, ""
    )


def ended(begun: ActionRecord, output: str, *, succeeded: bool) -> ActionRecord:
    """Return the record with its end and outcome."""
    return msgspec.structs.replace(
        begun, ended_at=datetime.now(UTC), succeeded=succeeded, output=output[:OUTPUT_WIDTH]
    )


async def store_or_enqueue(database: Database, home: Home, done: ActionRecord) -> None:
    """Store a record in PostgreSQL, or put it into the spool."""
    try:
        await _store(database, done)
    except (PostgresUnavailableError, asyncpg.PostgresError) as error:
        log.info("record queued until PostgreSQL is available", action_id=done.id, error=str(error))
        enqueue(home, done)


def enqueue(home: Home, done: ActionRecord) -> None:
    """Keep a record until PostgreSQL is available; if that fails too, write it to the log."""
    try:
        spool.enqueue(home, KIND, str(done.id), done)
    except OSError as error:
        log.error("action not recorded", error=str(error), **msgspec.to_builtins(done))


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
    """Store the records that wait in the spool, and return how many.

    Raises:
        PostgresUnavailableError: it is still unavailable.
    """
    return await spool.store(home, KIND, ActionRecord, partial(_store, database))


async def listed(database: Database, limit: int) -> list[ActionRecord]:
    """Return the recorded actions, newest first."""
    return [
        msgspec.convert(dict(row), ActionRecord, from_attributes=True)
        for row in await database.rows("actions", limit)
    ]
