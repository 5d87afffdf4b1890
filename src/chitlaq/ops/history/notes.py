"""What operators wrote about checks: notes, and acknowledgements that hold until the check is OK again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from chitlaq.core import ids
from chitlaq.core.errors import OperatorError
from chitlaq.ops.checks.model import Verdict
from chitlaq.ops.checks.runner import Note, Run
from chitlaq.ops.database.database import OpsDatabase, statement

MAX_CHARACTERS = 5000


async def add(database: OpsDatabase, check: str, kind: str, text: str, operator: str) -> None:
    """Store a note, or an acknowledgement, which ends the previous one.

    Raises:
        OperatorError: the text is empty or too long.
    """
    if not text.strip() or len(text) > MAX_CHARACTERS:
        raise OperatorError(f"Write between 1 and {MAX_CHARACTERS} characters.")
    now = datetime.now(UTC)
    ends = [statement("end_acknowledgement", check, now)] if kind == "acknowledgement" else []
    await database.write(
        *ends, statement("add_note", ids.new(), check, kind, text.strip(), operator, now, None)
    )


async def listed(database: OpsDatabase, checks: Sequence[str] | None, limit: int) -> list[Note]:
    """Return the notes on these checks, or on all, newest first."""
    chosen = None if checks is None else msgspec.json.encode(checks).decode()
    return msgspec.convert(list(map(dict, await database.rows("notes", chosen, limit))), list[Note])


async def with_notes(database: OpsDatabase, run: Run) -> Run:
    """Return a run with the notes on its checks from around its time, oldest first.

    An acknowledgement is shown where it held and the check was not OK. A note is shown for a week;
    notes of the day after a run belong to it, too.
    """
    at = run.started_at
    checks = msgspec.json.encode([one.check for one in run.results]).decode()
    rows = await database.rows(
        "notes_around", checks, at, at - timedelta(days=7), at + timedelta(days=1)
    )
    notes = msgspec.convert(list(map(dict, rows)), list[Note])
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
