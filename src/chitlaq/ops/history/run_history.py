"""The history of runs: every run with every result, in PostgreSQL.

While PostgreSQL is unavailable, a run waits in the spool: the run that saw a disaster must not be lost.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.installation.home import Home
from chitlaq.ops.checks.model import Evidence, Section, Value, Verdict
from chitlaq.ops.checks.runner import Result, Run
from chitlaq.ops.history import spool

STORE_SECONDS = 3.0
KIND = "runs"


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


async def store_or_enqueue(database: Database, home: Home, run: Run) -> str:
    """Store a run, or put it into the spool; return why it was not stored, or an empty string."""
    try:
        async with asyncio.timeout(STORE_SECONDS):
            await store(database, run)
    except (TimeoutError, PostgresUnavailableError, asyncpg.PostgresError) as error:
        reason = str(error) or f"no answer within {STORE_SECONDS:g} s"
    else:
        return ""
    try:
        enqueue(home, run)
    except OSError as error:
        return (
            f"This run is not recorded: PostgreSQL did not store it ({reason}), and {home.ops} cannot"
            f" be written ({error.strerror}). Save the output above."
        )
    return (
        f"PostgreSQL did not store this run ({reason}): it is recorded in a file, and stored when"
        " PostgreSQL is available again."
    )


def enqueue(home: Home, run: Run) -> None:
    """Keep a run until PostgreSQL is available.

    Raises:
        OSError: neither the home nor shared memory can be written.
    """
    spool.enqueue(home, KIND, str(run.id), run)


async def store(database: Database, run: Run) -> None:
    """Store a run once, however often this is called, and end acknowledgements of checks that are OK.

    Raises:
        PostgresUnavailableError: nothing was stored.
    """
    async with database.transaction() as session:
        is_new = await session.execute(
            "store_run",
            run.id,
            run.routine,
            run.verdict,
            run.started_at,
            run.duration_seconds,
            run.started_by,
            run.host,
        )
        if not is_new:
            return
        results = run.results
        await session.execute(
            "store_results",
            run.id,
            [one.check for one in results],
            [one.title for one in results],
            [one.section for one in results],
            [one.verdict for one in results],
            [one.summary for one in results],
            [msgspec.json.encode(one.values).decode() for one in results],
            [msgspec.json.encode(one.evidence).decode() for one in results],
            [one.remedy for one in results],
            [one.duration_seconds for one in results],
        )
        await session.execute(
            "end_acknowledgements", [one.check for one in results if one.verdict == Verdict.OK]
        )


async def store_queued(database: Database, home: Home) -> int:
    """Store the runs that wait in the spool, and return how many.

    Raises:
        PostgresUnavailableError: it is still unavailable.
    """
    return await spool.store(home, KIND, Run, partial(store, database))


async def listed(database: Database, routine: str | None, limit: int) -> list[RunSummary]:
    """Return the newest runs of one routine or of all."""
    rows = await database.rows("runs", routine, limit)
    return [
        RunSummary(
            row["id"],
            row["routine"],
            Verdict(row["verdict"]),
            row["started_at"],
            row["duration_seconds"],
            row["started_by"],
            row["host"],
            msgspec.json.decode(row["counts"], type=dict[Verdict, int]),
        )
        for row in rows
    ]


async def newest(database: Database, routine: str, count: int = 1) -> list[Run]:
    """Return the newest runs of a routine with their results, newest first."""
    found = await database.rows("runs", routine, count)
    return [await _with_results(database, row) for row in found]


async def find(database: Database, beginning: str) -> Run | None:
    """Return the newest run whose ID starts with this."""
    row = await database.row("run_by_id", beginning)
    return None if row is None else await _with_results(database, row)


async def prune(database: Database, days: int) -> int:
    """Delete records that are older than this and over, and return how many runs."""
    async with database.transaction() as session:
        await session.execute("prune_alerts", days)
        await session.execute("prune_notes", days)
        await session.execute("prune_actions", days)
        await session.execute("prune_patterns", days)
        await session.execute("prune_scheduled", days)
        return await session.execute("prune_runs", days)


async def _with_results(database: Database, row: Any) -> Run:
    results = await database.rows("results", row["id"])
    return Run(
        row["id"],
        row["routine"],
        row["started_at"],
        row["duration_seconds"],
        Verdict(row["verdict"]),
        row["started_by"],
        row["host"],
        [
            Result(
                one["check_id"],
                one["title"],
                Section(one["section"]),
                Verdict(one["verdict"]),
                one["summary"],
                msgspec.json.decode(one["measured"], type=dict[str, Value]),
                msgspec.json.decode(one["evidence"], type=list[Evidence]),
                one["remedy"],
                one["duration_seconds"],
            )
            for one in results
        ],
    )
