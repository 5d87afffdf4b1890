"""What search adds to each row that is written, and how large its indexes are."""

from __future__ import annotations

from time import perf_counter

import asyncpg
import msgspec

ROWS = 300
ROUNDS = 3
INDEX_SECONDS = 7_200

MEMBER = """
DO $$
DECLARE
    one record;
    own uuid;
BEGIN
    FOR one IN SELECT m.university_id, m.display_name, n
               FROM (SELECT university_id, display_name, row_number() OVER () AS n
                     FROM feed.members WHERE university_id IS NOT NULL LIMIT %(rows)s) m
    LOOP
        INSERT INTO auth.accounts (university_id, email, username, display_name, verified_at)
        VALUES (one.university_id, 'b' || one.n || '@bench.example', 'bench' || one.n, one.display_name,
                now())
        RETURNING id INTO own;
        PERFORM feed.create_member(own, one.university_id, 'bench' || one.n, one.display_name);
    END LOOP;
END $$
"""
POST = """
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT author_id, text FROM feed.posts
               WHERE visibility = 'public' AND text <> '' LIMIT %(rows)s
    LOOP
        INSERT INTO feed.posts (author_id, text, visibility) VALUES (one.author_id, one.text, 'public');
    END LOOP;
END $$
"""
TRIGGERS = """
SELECT format('ALTER TABLE %s DISABLE TRIGGER %I', t.tgrelid::regclass, t.tgname)
FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
WHERE p.pronamespace = 'search'::regnamespace AND t.tgrelid <> 0
"""
SIZES = """
SELECT c.oid::regclass::text AS name, pg_relation_size(c.oid) AS bytes
FROM pg_class c
WHERE (c.relnamespace = 'search'::regnamespace AND c.relkind IN ('r', 'i')
       OR c.relname ~ '^(post|message)_words(_|$)')
ORDER BY 2 DESC
"""


class InsertCost(msgspec.Struct, frozen=True):
    """Microseconds of PostgreSQL for a row that is inserted alone, the commit left out."""

    table: str
    with_search: float
    without: float


async def costs(connection: asyncpg.Connection[asyncpg.Record]) -> list[InsertCost]:
    """Insert rows with and without what search adds; none of them stays."""
    found = []
    for table, statement in (("feed.members", MEMBER), ("feed.posts", POST)):
        with_search, without = [], []
        for _ in range(ROUNDS):
            with_search.append(await _microseconds(connection, statement, is_searched=True))
            without.append(await _microseconds(connection, statement, is_searched=False))
        found.append(InsertCost(table, min(with_search), min(without)))
    return found


async def index_seconds(connection: asyncpg.Connection[asyncpg.Record]) -> float:
    """Index all members and tags from nothing, and return how long it takes."""
    started = perf_counter()
    await connection.execute("SELECT search.index_all()", timeout=INDEX_SECONDS)
    return round(perf_counter() - started, 1)


async def index_bytes(connection: asyncpg.Connection[asyncpg.Record]) -> dict[str, int]:
    """Return the sizes of search's tables and indexes."""
    return {row["name"]: row["bytes"] for row in await connection.fetch(SIZES)}


async def _microseconds(
    connection: asyncpg.Connection[asyncpg.Record], statement: str, *, is_searched: bool
) -> float:
    transaction = connection.transaction()
    await transaction.start()
    try:
        if not is_searched:
            for row in await connection.fetch(TRIGGERS):
                await connection.execute(row[0])
        started = perf_counter()
        await connection.execute(statement % {"rows": ROWS})
        return round(1e6 * (perf_counter() - started) / ROWS, 1)
    finally:
        await transaction.rollback()
