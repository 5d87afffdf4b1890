"""PostgreSQL's transactions: who waits for whom, which stay open, and how many there can still be."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress

import asyncpg

from chitlaq.core.data.heartbeat import LOCK_SECONDS
from chitlaq.core.errors import UnknownResult
from chitlaq.core.formatting import count, duration, share
from chitlaq.ops.checks.model import CheckOutcome, Section, Table, Value, Verdict, check, outcome
from chitlaq.ops.checks.sources.datastores import psql
from chitlaq.ops.checks.sources.judged_by import DISK
from chitlaq.ops.checks.sources.system import SystemView

QUERY_WIDTH = 100
SHOWN = 20
WAITED = "postgresql_lock_wait_seconds"


def ending(row: asyncpg.Record, process: str) -> str:
    """Return the command that ends a transaction, if one does."""
    if row["gid"] is not None:
        return f"chitlaq ops do rollback {shlex.quote(row['gid'])}"
    if row["kind"] == "client backend":
        return f"chitlaq ops do kill {row[process]}"
    return f"none: it is PostgreSQL's {row['kind']}, which ends by itself"


def _name(row: asyncpg.Record, process: str) -> str:
    """Return what PostgreSQL knows a transaction by."""
    return f"prepared {row['gid']!r}" if row["gid"] is not None else str(row[process])


def _short(query: str) -> str:
    return " ".join(query.split())[:QUERY_WIDTH]


@check(
    "database.locks",
    "Lock waits",
    section=Section.PERFORMANCE,
    looks_at="pg_locks, pg_blocking_pids and pg_prepared_xacts: who waits, and what tables nobody else can"
    f" write to; {WAITED} for how long others waited before",
    commands=(
        psql(
            "SELECT pid, pg_blocking_pids(pid), query FROM pg_stat_activity WHERE wait_event_type = 'Lock';"
        ),
        psql("SELECT * FROM pg_prepared_xacts;"),
    ),
    remedy="End what all wait for with the command that --details shows beside it.",
    stands_on=(DISK,),
)
async def locks(system: SystemView) -> CheckOutcome:
    rows = await system.postgres.rows("lock_waits")
    holders = await system.postgres.rows("table_locks")
    held = (await system.postgres.rows("lock_count"))[0]["locks"]
    # Who waits gives up after some seconds, and before the next one comes nobody waits for the table.
    longest = max((row["seconds"] for row in (*rows, *holders)), default=0.0)
    if rows or holders:
        with suppress(UnknownResult):
            longest = max(longest, await system.prometheus.number(WAITED))
    roots: dict[str, list[asyncpg.Record]] = {_name(row, "root"): [] for row in holders}
    for row in rows:
        roots.setdefault(_name(row, "root"), []).append(row)
    known = {_name(row, "root"): row for row in (*rows, *holders)}
    tables = {_name(row, "root"): row["tables"] for row in holders}
    waiting = len({row["pid"] for row in rows})
    if rows:
        said = f"{count(waiting, 'session')} waiting, for {duration(longest)} already,"
        said += f" for {_most(roots, known)}"
    elif holders:
        said = f"no session is waiting, but for {duration(longest)} would for {_most(roots, known)}"
    else:
        said = "no session is waiting"
    if tables:
        said += f"; nobody else can write to {_short(', '.join(tables.values()))}"
    return outcome(
        said,
        {
            "longest_wait": Value(longest, "seconds", *system.thresholds.lock_wait_seconds),
            "waiting": Value(waiting),
            "locks": Value(held),
        },
        Table(
            "what is waited for",
            [
                "transaction",
                "role",
                "state",
                "open",
                "tables",
                "waiting",
                "statement",
                "end it with",
            ],
            [
                [
                    name,
                    " ".join((root["role"], root["application"])).strip(),
                    root["state"] or root["kind"],
                    f"since {root['began_at']:%Y-%m-%d %H:%M:%S}",
                    tables.get(name, ""),
                    str(len(roots[name])),
                    _short(root["root_query"]),
                    ending(root, "root"),
                ]
                for name, root in known.items()
            ],
        ),
        Table(
            "waiting sessions",
            ["process", "waits for", "since", "statement"],
            [
                [
                    str(row["pid"]),
                    _name(row, "root"),
                    duration(row["seconds"]),
                    _short(row["query"]),
                ]
                for row in rows[:SHOWN]
            ],
        ),
        # For so long already, services say that they cannot work: this is why.
        least=Verdict.WARNING
        if any(row["seconds"] >= LOCK_SECONDS for row in holders)
        else Verdict.OK,
    )


def _most(
    roots: Mapping[str, Sequence[asyncpg.Record]], known: Mapping[str, asyncpg.Record]
) -> str:
    """Name the transaction that most wait for."""
    name = max(roots, key=lambda one: len(roots[one]))
    row = known[name]
    who = "transaction" if row["gid"] is not None else f"{row['kind']}"
    said = f"{who} {name} of {row['role']}"
    return said if len(roots) == 1 else f"{said} and {len(roots) - 1} more"


@check(
    "database.activity",
    "PostgreSQL activity",
    section=Section.INCIDENTS,
    looks_at="pg_stat_activity and pg_prepared_xacts: open transactions and running statements",
    commands=(
        psql("SELECT * FROM pg_stat_activity WHERE state = 'active';"),
        psql("SELECT * FROM pg_prepared_xacts;"),
    ),
    remedy="A forgotten transaction blocks vacuum: end it with the command that --details shows beside it.",
)
async def activity(system: SystemView) -> CheckOutcome:
    rows = await system.postgres.rows("activity")
    oldest = max((row["transaction_seconds"] or 0.0 for row in rows), default=0.0)
    prepared = sum(row["gid"] is not None for row in rows)
    said = f"{count(len(rows) - prepared, 'active session')}"
    if prepared:
        said += f" and {count(prepared, 'prepared transaction')}"
    return outcome(
        f"{said}, oldest transaction open for {duration(oldest)}" if rows else "no active session",
        {
            "oldest_transaction": Value(oldest, "seconds", *system.thresholds.transaction_seconds),
            "at_work": Value(len(rows) - prepared),
            "prepared": Value(prepared),
        },
        Table(
            "sessions",
            ["process", "role", "state", "transaction", "statement", "end it with"],
            [
                [
                    _name(row, "pid"),
                    row["role"] or "",
                    row["state"],
                    duration(row["transaction_seconds"] or 0.0),
                    _short(row["query"]),
                    ending(row, "pid"),
                ]
                for row in rows
            ],
        ),
    )


@check(
    "database.transaction_ids",
    "Transaction IDs",
    section=Section.MAINTENANCE,
    looks_at="pg_database: the age of the oldest transaction ID and multixact, relative to all there are",
    commands=(
        psql(
            "SELECT datname, age(datfrozenxid), mxid_age(datminmxid) FROM pg_database ORDER BY 2 DESC;"
        ),
    ),
    remedy="Something keeps autovacuum from freezing old rows, and at 100 % PostgreSQL takes no more writes:"
    " end old transactions (`database.activity`), drop a replication slot that nobody reads, then"
    " `chitlaq exec postgres psql -U postgres -d DATABASE -c 'VACUUM (FREEZE)'`.",
)
async def transaction_ids(system: SystemView) -> CheckOutcome:
    rows = await system.postgres.rows("transaction_ids")
    xid, multixact = (max(row[name] for row in rows) for name in ("xid", "multixact"))
    threshold = system.thresholds.transaction_ids_ratio
    return outcome(
        f"{share(xid)} of the transaction IDs and {share(multixact)} of the multixacts are used",
        {
            "xid": Value(xid, "ratio", *threshold),
            "multixact": Value(multixact, "ratio", *threshold),
        },
        Table(
            "databases",
            ["database", "transaction IDs", "multixacts"],
            [[row["database"], share(row["xid"]), share(row["multixact"])] for row in rows],
        ),
    )
