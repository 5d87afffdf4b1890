"""Actions on PostgreSQL, as its superuser: vacuum a table, end a session or a prepared transaction."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from chitlaq.core.data import postgres, postgres_hosts
from chitlaq.core.errors import OperatorError
from chitlaq.core.formatting import duration, size
from chitlaq.ops.actions.model import Action, ActionContext
from chitlaq.ops.checks.model import Section

CONNECT_SECONDS = 5.0
VACUUM_SECONDS = 3600.0
# PostgreSQL stores process IDs in 32 bits.
LARGEST_PROCESS = 2**31 - 1


@asynccontextmanager
async def _superuser(
    context: ActionContext, database: str = ""
) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    url = postgres.dsn(context.settings, context.home, "postgres", database)
    try:
        connection = await postgres_hosts.connect(url, timeout=CONNECT_SECONDS)
    except (OSError, asyncpg.PostgresError, asyncpg.InternalClientError) as error:
        raise OperatorError(f"PostgreSQL is not reachable: {error or 'no answer'}.") from None
    try:
        yield connection
    finally:
        await connection.close()


_TABLE = re.compile(r"[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*")


async def _plan_vacuum(context: ActionContext, table: str) -> list[str]:
    if not _TABLE.fullmatch(table):
        raise OperatorError(
            f"{table!r} is not a table name: write SCHEMA.TABLE, such as feed.posts."
        )
    async with _superuser(context) as connection:
        row = await connection.fetchrow(
            "SELECT n_live_tup AS live, n_dead_tup AS dead, pg_total_relation_size(relid) AS bytes"
            " FROM pg_stat_user_tables WHERE schemaname || '.' || relname = $1",
            table,
        )
    if row is None:
        raise OperatorError(
            f"There is no table {table}: `chitlaq ops check database.dead_rows` lists tables."
        )
    return [
        f"VACUUM (ANALYZE) {table}, which blocks neither reads nor writes",
        f"{row['dead']:,} dead rows and {row['live']:,} live ones, {size(row['bytes'])}",
    ]


async def _vacuum(context: ActionContext, table: str) -> str:
    await _plan_vacuum(context, table)
    async with _superuser(context) as connection:
        await connection.execute(f"VACUUM (ANALYZE) {table}", timeout=VACUUM_SECONDS)
    return f"vacuumed {table}"


async def _session(context: ActionContext, process: str) -> tuple[int, str, str]:
    """Return (process ID, whose session it is and for what, its state and for how long)."""
    if not re.fullmatch(r"[0-9]{1,10}", process) or int(process) > LARGEST_PROCESS:
        raise OperatorError(f"{process!r} is not a PostgreSQL process ID.")
    async with _superuser(context) as connection:
        row = await connection.fetchrow(
            "SELECT pid, usename, application_name, state, query,"
            " extract(epoch FROM now() - coalesce(xact_start, state_change))::float8 AS seconds"
            " FROM pg_stat_activity WHERE pid = $1 AND backend_type = 'client backend'"
            " AND pid <> pg_backend_pid()",
            int(process),
        )
    if row is None:
        raise OperatorError(f"PostgreSQL has no client session {process}; it may have ended.")
    words = " ".join(row["query"].split())
    return (
        int(process),
        f"{row['usename']} ({row['application_name'] or 'unnamed'}): {words}",
        f"{row['state']} for {duration(row['seconds'] or 0)}",
    )


async def _plan_kill(context: ActionContext, process: str) -> list[str]:
    number, words, state = await _session(context, process)
    return [f"end session {number} and roll back its open transaction: {words}", state]


async def _kill(context: ActionContext, process: str) -> str:
    number, words, state = await _session(context, process)
    async with _superuser(context) as connection:
        ended = await connection.fetchval("SELECT pg_terminate_backend($1, 5000)", number)
    if not ended:
        raise OperatorError(f"Session {number} did not end within 5 s.")
    return f"ended session {number}, {state}: {words}"


async def _prepared(context: ActionContext, name: str) -> asyncpg.Record:
    async with _superuser(context) as connection:
        row = await connection.fetchrow(
            "SELECT gid, database, owner, extract(epoch FROM now() - prepared)::float8 AS seconds"
            " FROM pg_prepared_xacts WHERE gid = $1",
            name,
        )
    if row is None:
        raise OperatorError(
            f"PostgreSQL has no prepared transaction {name!r}; it may have ended."
            " `chitlaq ops check database.activity --details` lists them."
        )
    return row


async def _plan_rollback(context: ActionContext, name: str) -> list[str]:
    row = await _prepared(context, name)
    return [
        f"roll back the prepared transaction {name!r} of {row['owner']} in {row['database']}",
        f"prepared {duration(row['seconds'])} ago; what it changed is lost, for who prepared it, too",
    ]


async def _rollback(context: ActionContext, name: str) -> str:
    row = await _prepared(context, name)
    # Only in its own database can it be ended.
    async with _superuser(context, row["database"]) as connection:
        literal = await connection.fetchval("SELECT quote_literal($1)", name)
        await connection.execute(f"ROLLBACK PREPARED {literal}", timeout=CONNECT_SECONDS)
    return f"rolled back the prepared transaction {name!r}, {duration(row['seconds'])} old"


KILL = Action(
    "kill",
    "End a PostgreSQL session that others wait for",
    Section.INCIDENTS,
    "a PostgreSQL process",
    ('chitlaq exec postgres psql -U postgres -c "SELECT pg_terminate_backend(PID);"',),
    _plan_kill,
    _kill,
    is_destructive=True,
    has_figures=True,
)
ROLLBACK = Action(
    "rollback",
    "Roll back a prepared transaction that nobody ends",
    Section.INCIDENTS,
    "the name of a prepared transaction",
    ("chitlaq exec postgres psql -U postgres -d chitlaq -c \"ROLLBACK PREPARED 'NAME';\"",),
    _plan_rollback,
    _rollback,
    is_destructive=True,
    has_figures=True,
)
VACUUM = Action(
    "vacuum",
    "Vacuum a table",
    Section.MAINTENANCE,
    "a table",
    ('chitlaq exec postgres psql -U postgres -d chitlaq -c "VACUUM (ANALYZE) TABLE;"',),
    _plan_vacuum,
    _vacuum,
    is_destructive=True,
    has_figures=True,
)
