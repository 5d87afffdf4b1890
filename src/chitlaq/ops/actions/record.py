"""Carry out an action, and record it before it begins and after it ends.

What an operator changes in the operations database itself is recorded by the transaction that changes it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import msgspec

from chitlaq.core import ids
from chitlaq.core.errors import OperatorError
from chitlaq.core.telemetry import logs
from chitlaq.ops.actions.model import Action, ActionContext, ActionRecord
from chitlaq.ops.database.database import OpsDatabase, Statement, statement

OUTPUT_WIDTH = 20_000

log = logs.get("actions")


async def carry_out(
    action: Action,
    context: ActionContext,
    record: ActionRecord,
    database: OpsDatabase,
) -> ActionRecord:
    """Carry out an action and record it, whether it succeeds or fails; return what became of it."""
    await store(database, record)
    try:
        told = replace(context, operator=record.operator, reason=record.reason)
        output, succeeded = await action.do(told, record.target), True
    except (OperatorError, OSError, asyncpg.PostgresError) as error:
        output, succeeded = str(error), False
    except BaseException as error:
        await store(database, ended(record, f"interrupted: {error!r}", succeeded=False))
        raise
    done = ended(record, output, succeeded=succeeded)
    await store(database, done)
    return done


def begun(
    action: str, target: str, operator: str, reason: str, identifier: UUID | None = None
) -> ActionRecord:
    """Return the record of something that begins now."""
    return ActionRecord(
        identifier or ids.new(), action, target, operator, reason, datetime.now(UTC), None, None, ""
    )


def ended(begun: ActionRecord, output: str, *, succeeded: bool) -> ActionRecord:
    """Return the record with its end and outcome."""
    return msgspec.structs.replace(
        begun, ended_at=datetime.now(UTC), succeeded=succeeded, output=output[:OUTPUT_WIDTH]
    )


def done(action: str, target: str, operator: str, reason: str = "", output: str = "") -> Statement:
    """Return what records something that was done at once, for the transaction that does it.

    Args:
        action: the command that does it, without ``chitlaq``.
        target: what it was done to.
        operator: who did it.
        reason: why, if that is known.
        output: what follows from it.
    """
    return storing(ended(begun(action, target, operator, reason), output, succeeded=True))


async def store(database: OpsDatabase, done: ActionRecord) -> None:
    """Store a record, or keep it in memory; if that fails too, write it to the log."""
    try:
        await database.keep(storing(done))
    except OSError as error:
        log.error("action not recorded", error=str(error), **msgspec.to_builtins(done))


def storing(done: ActionRecord) -> Statement:
    """Return what stores a record."""
    return statement("store_action", *msgspec.structs.astuple(done))


async def find(database: OpsDatabase, identifier: UUID) -> ActionRecord | None:
    """Return a recorded action."""
    rows = await database.rows("action", identifier)
    return msgspec.convert(dict(rows[0]), ActionRecord, strict=False) if rows else None


async def listed(database: OpsDatabase, limit: int) -> list[ActionRecord]:
    """Return the recorded actions, newest first."""
    rows = await database.rows("actions", limit)
    return msgspec.convert(list(map(dict, rows)), list[ActionRecord], strict=False)
