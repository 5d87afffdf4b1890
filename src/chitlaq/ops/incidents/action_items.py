"""What is to be done so that an incident does not come back: by whom, and until when.

The weekly routine asks about what is overdue.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.visible import one_line
from chitlaq.ops.database.database import OpsDatabase, Transaction
from chitlaq.ops.incidents import changes, timeline

MAX_CHARACTERS = 1000
MAX_OWNER = 200


class ActionItem(msgspec.Struct, frozen=True):
    id: int
    incident_id: int
    text: str
    owner: str
    due_on: date
    made_at: datetime
    done_at: datetime | None


async def add(
    database: OpsDatabase, number: int, operator: str, *, text: str, owner: str, due_on: date
) -> ActionItem:
    """Add an action item to an incident, resolved or not.

    Raises:
        OperatorError: there is no such incident; the text or the owner is empty or too long; the day is over.
    """
    text, owner = one_line(text.strip()), one_line(owner.strip())
    if not 1 <= len(text) <= MAX_CHARACTERS:
        raise OperatorError(f"Say what is to be done, in at most {MAX_CHARACTERS} characters.")
    if not 1 <= len(owner) <= MAX_OWNER:
        raise OperatorError("Say who does it: an action item without an owner is never done.")
    if due_on < today():
        raise OperatorError(f"{due_on} is over: say until when it will be done.")

    def added(transaction: Transaction) -> ActionItem:
        changes.current(transaction, number)
        (row,) = transaction.rows(
            "add_action_item", number, text, owner, due_on.isoformat(), datetime.now(UTC)
        )
        said = f"action item {row['id']} for {owner} until {due_on}: {text}"
        transaction.write(timeline.add(number, "item", operator, said))
        return msgspec.convert(dict(row), ActionItem)

    return await database.transact(added)


async def finish(database: OpsDatabase, item: int, operator: str) -> ActionItem:
    """Mark an action item as done.

    Raises:
        OperatorError: there is none with this number, or it is done already.
    """

    def finished(transaction: Transaction) -> ActionItem:
        rows = transaction.rows("finish_action_item", item, datetime.now(UTC))
        if not rows:
            raise OperatorError(
                f"There is no open action item {item}: `chitlaq incidents items` lists them."
            )
        done = msgspec.convert(dict(rows[0]), ActionItem)
        said = f"action item {item} is done: {done.text}"
        transaction.write(timeline.add(done.incident_id, "item", operator, said))
        return done

    return await database.transact(finished)


async def listed(
    database: OpsDatabase, *, number: int | None = None, is_open: bool | None = None, limit: int
) -> list[ActionItem]:
    """Return action items, open ones first, then by the day on which they are due."""
    rows = await database.rows("action_items", number, is_open, limit)
    return msgspec.convert(list(map(dict, rows)), list[ActionItem])


def today() -> date:
    """Today where this machine is: items are due by its calendar."""
    return datetime.now().astimezone().date()
