"""What operators wrote about checks: notes, and acknowledgements that hold until the check is OK again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from chitlaq.core.data.postgres import Database
from chitlaq.core.errors import OperatorError
from chitlaq.ops.checks.model import Verdict
from chitlaq.ops.checks.runner import Note, Run

MAX_CHARACTERS = 5000


async def add(database: Database, check: str, kind: str, text: str, operator: str) -> None:
    """Store a note or an acknowledgement.

    Raises:
        OperatorError: the text is empty or too long.
    """
    if not text.strip() or len(text) > MAX_CHARACTERS:
        raise OperatorError(f"Write between 1 and {MAX_CHARACTERS} characters.")
    async with database.transaction() as session:
        await session.execute("add_note", check, kind, text.strip(), operator)


async def listed(database: Database, checks: Sequence[str] | None, limit: int) -> list[Note]:
    """Return the notes on these checks, or on all, newest first."""
    rows = await database.rows("notes", None if checks is None else list(checks), limit)
    return [_note(row) for row in rows]


async def with_notes(database: Database, run: Run) -> Run:
    """Return a run with the notes on its checks from around its time, oldest first.

    An acknowledgement is shown where it held and the check was not OK. A note is shown for a week;
    notes of the day after a run belong to it, too.
    """
    rows = await database.rows("notes_around", [one.check for one in run.results], run.started_at)
    notes = [_note(row) for row in rows]
    return msgspec.structs.replace(
        run,
        results=[
            msgspec.structs.replace(
                one,
                notes=[
                    note
                    for note in notes
                    if note.check == one.check
                    and (note.kind == "note" or one.verdict != Verdict.OK)
                ],
            )
            for one in run.results
        ],
    )


def _note(row: Any) -> Note:
    return Note(
        row["check_id"],
        row["kind"],
        row["text"],
        row["operator"],
        row["created_at"],
        row["ended_at"],
    )
