"""Fingerprint the content of a database, to compare two databases."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import psycopg
from psycopg import sql

from chitlaq.backups.catalog.records import TableFingerprint
from chitlaq.backups.errors import InconclusiveError

# A row's text must not depend on session settings.
_SETTINGS = """
SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'; SET LOCAL IntervalStyle = 'postgres';
SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1;
SET LOCAL statement_timeout = 0; SET LOCAL max_parallel_workers_per_gather = 0
"""
# A wait for a lock shows no progress.
LOCK_SECONDS = 60

_LOCKED_BY = """
SELECT pid FROM pg_locks WHERE relation = to_regclass(%s) AND mode = 'AccessExclusiveLock' AND granted
"""

_TABLES = """
SELECT n.nspname, c.relname,
    (SELECT attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'created_at'
        AND NOT attisdropped)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence = 'p'
    AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_temp%'
ORDER BY 1, 2
"""

# Rows without a counterpart: PostgreSQL itself does not notice them if an index is damaged.
_FOREIGN_KEYS = """
SELECT c.conname, c.conrelid::regclass::text, c.confrelid::regclass::text,
    (SELECT array_agg(a.attname ORDER BY k.i) FROM unnest(c.conkey) WITH ORDINALITY k(n, i)
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.n),
    (SELECT array_agg(a.attname ORDER BY k.i) FROM unnest(c.confkey) WITH ORDINALITY k(n, i)
        JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.n),
    c.convalidated
FROM pg_constraint c WHERE c.contype = 'f' AND c.conparentid = 0
"""


def take(
    connection: psycopg.Connection, tell: Callable[[int, int], None] = lambda _done, _all: None
) -> dict[str, TableFingerprint]:
    """Fingerprint every table as this transaction sees it; calls ``tell`` with the tables done and in total.

    The checksum is the sum of 64-bit hashes of the rows' text, so row order does not matter.
    """
    connection.execute(_SETTINGS)
    connection.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
    found = {}
    tables = connection.execute(_TABLES).fetchall()
    for number, (schema, table, newest) in enumerate(tables):
        tell(number, len(tables))
        found[f"{schema}.{table}"] = _table(connection, schema, table, newest)
    tell(len(tables), len(tables))
    return found


def _table(
    connection: psycopg.Connection, schema: str, table: str, newest: str | None
) -> TableFingerprint:
    name = sql.Identifier(schema, table)
    latest = sql.SQL("max({})::text").format(sql.Identifier(newest)) if newest else sql.SQL("NULL")
    try:
        row = connection.execute(
            sql.SQL(
                "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text,"
                " {} FROM {} t"
            ).format(latest, name)
        ).fetchone()
    except psycopg.errors.LockNotAvailable:
        connection.rollback()
        holders = connection.execute(_LOCKED_BY, [name.as_string(connection)]).fetchall()
        who = ", ".join(str(pid or "a prepared transaction") for (pid,) in holders) or "unknown"
        raise InconclusiveError(
            f"{schema}.{table} has been locked by another session for {LOCK_SECONDS} s (process: {who})."
            " Let it finish, or end it: `SELECT pg_terminate_backend(PROCESS)`."
        ) from None
    assert row is not None
    return TableFingerprint(*row)


def differences(
    expected: Mapping[str, TableFingerprint], found: Mapping[str, TableFingerprint]
) -> list[str]:
    """Describe how a restored database differs from the expected content; empty if it does not."""
    said = []
    for name in sorted({*expected, *found}):
        wanted, had = expected.get(name), found.get(name)
        if wanted == had:
            continue
        if wanted is None or had is None:
            said.append(f"{name} is {'not expected' if wanted is None else 'missing'}")
        elif wanted.rows != had.rows:
            said.append(f"{name} has {had.rows:,} rows instead of {wanted.rows:,}")
        elif wanted.newest != had.newest:
            said.append(f"{name} ends at {had.newest} instead of {wanted.newest}")
        else:
            said.append(f"{name} has other content in its {had.rows:,} rows")
    return said


def broken_constraints(connection: psycopg.Connection) -> list[str]:
    """Describe foreign keys that rows violate, and constraints that were never validated."""
    connection.execute(_SETTINGS)
    broken = []
    rows = connection.execute(_FOREIGN_KEYS).fetchall()
    for name, child, parent, columns, referred, is_validated in rows:
        if not is_validated:
            broken.append(f"{name} was never validated")
            continue
        pairs = sql.SQL(" AND ").join(
            sql.SQL("p.{} = c.{}").format(sql.Identifier(there), sql.Identifier(here))
            for here, there in zip(columns, referred, strict=True)
        )
        given = sql.SQL(" AND ").join(
            sql.SQL("c.{} IS NOT NULL").format(sql.Identifier(here)) for here in columns
        )
        row = connection.execute(
            sql.SQL(
                "SELECT count(*) FROM {child} c WHERE {given}"
                " AND NOT EXISTS (SELECT FROM {parent} p WHERE {pairs})"
            ).format(child=sql.SQL(child), given=given, parent=sql.SQL(parent), pairs=pairs)
        ).fetchone()
        assert row is not None
        if row[0]:
            broken.append(f"{name} is broken by {row[0]:,} rows of {child}")
    return broken


def last_migration(connection: psycopg.Connection) -> str:
    """A database's last migration; empty if it never had one."""
    row = connection.execute("SELECT to_regclass('public._yoyo_migration')").fetchone()
    if row is None or row[0] is None:
        return ""
    last = connection.execute("SELECT max(migration_id) FROM public._yoyo_migration").fetchone()
    return str(last[0] or "") if last else ""
