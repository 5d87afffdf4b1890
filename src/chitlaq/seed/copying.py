"""Stream rows through COPY, and build indexes afterwards, which is faster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[Any]"
Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with a stage's name, the amount done, and its total."""

CHUNK_BYTES = 256 * 1024
REPORT_EVERY = 1000

# https://www.postgresql.org/docs/18/sql-copy.html#SQL-COPY-BINARY-FORMAT
_SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_END = b"\xff\xff"


async def copy_rows(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    rows: Iterable[bytes],
    advance: Callable[[int], None],
) -> int:
    """Send rows in COPY's binary format, in chunks; returns how many were stored.

    Args:
        connection: in a transaction.
        table: its name, schema included.
        columns: of the rows.
        rows: each item holds any number of complete rows.
        advance: called from time to time with the number of items sent.
    """

    async def chunks() -> AsyncIterator[bytes]:
        chunk = bytearray(_SIGNATURE)
        number = 0
        for number, row in enumerate(rows, start=1):
            chunk += row
            if len(chunk) >= CHUNK_BYTES:
                yield bytes(chunk)
                chunk.clear()
            if number % REPORT_EVERY == 0:
                advance(number)
        advance(number)
        yield bytes(chunk) + _END

    schema, name = table.split(".")
    status = await connection.copy_to_table(
        name, schema_name=schema, columns=columns, source=chunks(), format="binary"
    )
    return int(status.rpartition(" ")[2])


@asynccontextmanager
async def without_indexes(
    connection: Connection, tables: Sequence[str], progress: Progress
) -> AsyncIterator[None]:
    """Drop foreign keys and non-unique indexes of tables, and recreate them when the block ends.

    PostgreSQL then builds an index with one sort instead of row by row, and checks a foreign key with
    one join instead of a look-up per row. Use it in a transaction, so that no other session sees the
    tables without them and a failure restores them.
    """
    indexes = await connection.fetch(
        "SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition"
        " FROM pg_index WHERE indrelid = ANY ($1::text[]::regclass[])"
        " AND NOT indisunique AND NOT indisprimary ORDER BY 1",
        tables,
    )
    keys = await connection.fetch(
        "SELECT conrelid::regclass::text AS table, quote_ident(conname) AS name,"
        " pg_get_constraintdef(oid) AS definition FROM pg_constraint"
        " WHERE contype = 'f' AND conrelid = ANY ($1::text[]::regclass[]) ORDER BY 1, 2",
        tables,
    )
    for key in keys:
        await connection.execute(f"ALTER TABLE {key['table']} DROP CONSTRAINT {key['name']}")
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['name']}")
    yield
    total = len(indexes) + len(keys)
    for done, index in enumerate(indexes):
        progress("indexes", done, total)
        await connection.execute(index["definition"])
    for done, key in enumerate(keys, start=len(indexes)):
        progress("indexes", done, total)
        await connection.execute(
            f"ALTER TABLE {key['table']} ADD CONSTRAINT {key['name']} {key['definition']}"
        )
    progress("indexes", total, total)
