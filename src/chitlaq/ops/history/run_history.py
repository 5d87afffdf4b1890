"""The history of runs: every run with every result."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from uuid import UUID

import msgspec

from chitlaq.core.kept_since import kept_since
from chitlaq.ops.checks.model import Verdict
from chitlaq.ops.checks.runner import Result, Run
from chitlaq.ops.database.database import OpsDatabase, Statement, statement


class RunSummary(msgspec.Struct, frozen=True):
    """A run with the number of results of each verdict instead of the results."""

    id: UUID
    routine: str
    verdict: Verdict
    started_at: datetime
    duration_seconds: float
    started_by: str
    host: str
    counts: dict[Verdict, int]


async def store(database: OpsDatabase, run: Run) -> str:
    """Store a run once, however often this is called, and end acknowledgements of checks that are OK.

    Returns:
        Why it is not in the history yet, in words for the operator, or an empty string.
    """
    try:
        reason = await database.keep(*statements(run))
    except OSError as error:
        return (
            "This run is not recorded: neither the operations database nor shared memory can be"
            f" written ({error.strerror}). Save the output above."
        )
    return reason and (
        f"This run is not in the history yet ({reason}): it is kept in memory, and stored when there"
        " is room again."
    )


def statements(run: Run) -> tuple[Statement, ...]:
    """Return what stores a run."""
    results = [msgspec.structs.replace(one, notes=[]) for one in run.results]
    ok = [one.check for one in results if one.verdict == Verdict.OK]
    return (
        statement(
            "store_run",
            run.id,
            run.routine,
            run.verdict,
            run.started_at,
            run.duration_seconds,
            run.started_by,
            run.host,
        ),
        statement("store_results", run.id, msgspec.json.encode(results).decode()),
        statement("end_acknowledgements", msgspec.json.encode(ok).decode(), run.started_at),
    )


async def listed(database: OpsDatabase, routine: str | None, limit: int) -> list[RunSummary]:
    """Return the newest runs of one routine or of all."""
    return [
        msgspec.convert({**row, "counts": msgspec.json.decode(row["counts"])}, RunSummary)
        for row in map(dict, await database.rows("runs", routine, limit))
    ]


async def newest(database: OpsDatabase, routine: str, count: int = 1) -> list[Run]:
    """Return the newest runs of a routine with their results, newest first."""
    found = await database.rows("runs", routine, count)
    return [await _with_results(database, row) for row in found]


async def find(database: OpsDatabase, beginning: str) -> Run | None:
    """Return the newest run whose ID starts with this."""
    found = await database.rows("run_by_id", beginning)
    return await _with_results(database, found[0]) if found else None


async def before(database: OpsDatabase, run: Run) -> Run | None:
    """Return the run of the same routine before this one."""
    found = await database.rows("run_before", run.routine, run.started_at)
    return await _with_results(database, found[0]) if found else None


async def beginning(database: OpsDatabase, days: int, now: datetime) -> datetime:
    """Return since when records are kept; days without any record do not count."""
    rows = await database.rows("recorded_days", now, days + 1)
    return kept_since([datetime.fromisoformat(f"{row['day']}T00Z") for row in rows], days, now)


async def prune(database: OpsDatabase, before: datetime) -> int:
    """Delete records that are older than this and over, and return how many runs."""
    tables = (
        "alerts", "notes", "actions", "patterns", "scheduled", "console_sessions", "incidents",
        "changes", "runs",
    )  # fmt: skip
    return await database.write(*(statement(f"prune_{one}", before) for one in tables))


async def _with_results(database: OpsDatabase, row: sqlite3.Row) -> Run:
    results = [
        msgspec.json.decode(one["record"], type=Result)
        for one in await database.rows("results", row["id"])
    ]
    return msgspec.convert({**dict(row), "results": results}, Run)
