"""Who stands in for whom: in the database, because it is decided at short notice."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from chitlaq.core import ids
from chitlaq.core.errors import OperatorError
from chitlaq.core.local_time import local
from chitlaq.ops.actions import record
from chitlaq.ops.database.database import OpsDatabase, Transaction, statement
from chitlaq.ops.oncall.roster import Roster
from chitlaq.ops.oncall.rotations import Override


async def listed(database: OpsDatabase, since: datetime) -> list[Override]:
    """Return the overrides that end after a moment, by their begin."""
    rows = await database.rows("overrides", since)
    return msgspec.convert(list(map(dict, rows)), list[Override], strict=False)


async def add(
    database: OpsDatabase,
    roster: Roster,
    rotation: str,
    person: str,
    period: tuple[datetime, datetime],
    operator: str,
    note: str,
) -> Override:
    """Let a person stand in.

    Raises:
        OperatorError: there is no such rotation or person, or it ends before it begins, or is over.
    """
    roster.rotation(rotation)
    roster.person(person)
    starts_at, ends_at = period
    if ends_at <= max(starts_at, datetime.now(UTC)):
        raise OperatorError("An override must end after it begins, and in the future.")
    made = Override(str(ids.new()), rotation, person, starts_at, ends_at, operator, note)
    until = f"from {_local(starts_at)} until {_local(ends_at)}"
    await database.write(
        statement("add_override", *msgspec.structs.astuple(made)),
        record.done("oncall override add", f"{rotation} {person}", operator, note, until),
    )
    return made


async def remove(database: OpsDatabase, word: str, operator: str) -> None:
    """Remove the one override whose id begins, or ends, so.

    Raises:
        OperatorError: there is none, or several.
    """

    def removed(transaction: Transaction) -> None:
        found = transaction.rows("override_ids", word)
        if len(found) != 1:
            said = "Several overrides have" if found else "No override has"
            raise OperatorError(f"{said} the id {word}: `chitlaq oncall override list` shows all.")
        (row,) = transaction.rows("remove_override", found[0]["id"])
        one = msgspec.convert(dict(row), Override, strict=False)
        target = f"{one.rotation} {one.person}"
        until = f"it was from {_local(one.starts_at)} until {_local(one.ends_at)}"
        transaction.write(record.done("oncall override remove", target, operator, output=until))

    await database.transact(removed)


def _local(at: datetime) -> str:
    return f"{local(at):%Y-%m-%d %H:%M}"
