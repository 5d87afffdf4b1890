"""Prepared statements keep one plan: how many are asked for at a time must not lead to another."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import asyncpg

from chitlaq.core.data import named_queries
from tests.conftest import Stack

CUSTOM = 5
"""So often PostgreSQL plans for the values, before it compares that with one plan for all."""
LENGTHS = (1, 2, 3, 4) * 3
SERVICES = Path(str(files("chitlaq"))) / "services"
ONE = {
    "bigint": "1",
    "boolean": "true",
    "bytea": r"'\x01'",
    "double precision": "1",
    "integer": "1",
    "text": "'a'",
    "timestamp with time zone": "now()",
    "uuid": "gen_random_uuid()",
}


def value(kind: str, length: int) -> str:
    """Return an SQL expression of a type; arrays have this length."""
    if kind.endswith("[]"):
        return f"ARRAY[{', '.join([ONE.get(kind[:-2], 'NULL')] * length)}]::{kind}"
    return f"{ONE.get(kind, 'NULL')}::{kind}"


async def is_planned_once(connection: asyncpg.Connection[asyncpg.Record], sql: str) -> bool:
    """Plan a statement for arrays of several lengths; true if it has none, too."""
    await connection.execute(f"PREPARE asked AS {sql}")
    try:
        kinds = await connection.fetchval(
            "SELECT parameter_types::text[] FROM pg_prepared_statements"
        )
        if not any(kind.endswith("[]") for kind in kinds):
            return True
        for length in LENGTHS:
            values = ", ".join(value(kind, length) for kind in kinds)
            await connection.execute(f"EXPLAIN EXECUTE asked ({values})")
        planned = "SELECT custom_plans FROM pg_prepared_statements"
        return int(await connection.fetchval(planned)) <= CUSTOM + 1
    finally:
        await connection.execute("DEALLOCATE asked")


async def test_statements_with_arrays_are_planned_once(stack: Stack) -> None:
    replanned, seen = [], 0
    connection = await asyncpg.connect(stack.dsn(), statement_cache_size=0)
    try:
        for path in sorted(SERVICES.glob("**/queries.sql")):
            package = ".".join(("chitlaq", "services", *path.parent.relative_to(SERVICES).parts))
            for query in named_queries.load(package):
                if query.is_prepared:
                    seen += 1
                    if not await is_planned_once(connection, query.sql):
                        replanned.append(f"{package}.{query.name}")
    finally:
        await connection.close()
    assert seen > 50
    assert replanned == [], "hide the lengths of their arrays in subqueries"


async def test_functions_that_are_asked_for_many_are_planned_once(stack: Stack) -> None:
    """Such as a message: planning for one took three times as long as storing it."""
    connection = await asyncpg.connect(stack.dsn(), statement_cache_size=0)
    calls = {
        "websocket.store_messages": "websocket.store_messages(ids, ids, words, words, '{1}', 1)",
        "feed.causes": "feed.causes(ids, words, ids, ids)",
        "feed.news_for": "feed.news_for(ids[1], ids)",
        "feed.excerpts": "feed.excerpts(ids[1], ids)",
        "feed.cards_of": "feed.cards_of(ids[1], ids)",
        "feed.audience": "feed.audience(ids[1], ids)",
    }
    try:
        await connection.execute("SET pg_stat_statements.track = 'all'")
        await connection.execute("SET pg_stat_statements.track_planning = on")
        for name, call in calls.items():
            plans = (
                "SELECT coalesce(sum(plans), 0)::integer FROM pg_stat_statements WHERE NOT toplevel"
            )
            before = await connection.fetchval(plans)
            for _ in range(20):
                await connection.execute(
                    f"SELECT * FROM (SELECT ARRAY[gen_random_uuid()] AS ids, ARRAY['a'] AS words),"
                    f" LATERAL {call}"
                )
            assert await connection.fetchval(plans) - before < 20, name
    finally:
        await connection.close()
