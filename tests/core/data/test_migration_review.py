"""What a migration does to a running system is known before it runs, from PostgreSQL itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

import chitlaq
from chitlaq.core.data import migration_review
from chitlaq.core.data.migration_review import Review
from tests.conftest import Stack
from tests.core.data.test_migrations import FOLDER, NAMES, apply_first

RELEASED = "0046_reports"
TABLES = """
CREATE SCHEMA shop;
CREATE TABLE shop.goods (id int PRIMARY KEY, n int);
CREATE FUNCTION shop.price(n int) RETURNS int LANGUAGE sql RETURN n;
"""
LARGE = {"shop.goods": 10_000_000_000}


@pytest.fixture
async def database(stack: Stack) -> AsyncIterator[str]:
    """An empty database on the stack's server; its URL for the owner."""
    await stack.sql("CREATE DATABASE reviewed OWNER chitlaq")
    yield stack.dsn("chitlaq", "reviewed")
    await stack.sql("DROP DATABASE reviewed WITH (FORCE)")


def review(url: str, *texts: str) -> list[Review]:
    """What each of these does to a fresh copy of `TABLES`."""
    found = []
    with psycopg.connect(url) as scratch:
        for text in texts:
            scratch.execute("DROP SCHEMA IF EXISTS shop CASCADE")
            scratch.execute(TABLES)
            scratch.commit()
            found.append(migration_review.review_of(scratch, "0001_it", text, LARGE))
    return found


CHEAP = (
    "CREATE TABLE shop.more (id int PRIMARY KEY, good int REFERENCES shop.goods)",
    "ALTER TABLE shop.goods ADD COLUMN note text",
    "ALTER TABLE shop.goods ADD COLUMN note text NOT NULL DEFAULT ''",
    "ALTER TABLE shop.goods ADD CHECK (n > 0) NOT VALID",
    "UPDATE shop.goods SET n = 1",
)
DEAR = (
    "ALTER TABLE shop.goods ADD COLUMN at timestamptz NOT NULL DEFAULT clock_timestamp()",
    "CREATE INDEX ON shop.goods (n)",
    "ALTER TABLE shop.goods ADD CHECK (n > 0)",
    "ALTER TABLE shop.goods ALTER COLUMN n SET NOT NULL",
    "ALTER TABLE shop.goods ADD COLUMN note text; UPDATE shop.goods SET note = ''",
)
TAKES_AWAY = {
    "ALTER TABLE shop.goods DROP COLUMN n": "shop.goods.n is gone",
    "ALTER TABLE shop.goods RENAME COLUMN n TO m": "shop.goods.n is gone",
    "ALTER TABLE shop.goods ALTER COLUMN n TYPE bigint": "shop.goods.n is bigint, and was integer",
    "ALTER TABLE shop.goods ALTER COLUMN n SET NOT NULL": (
        "shop.goods.n is integer needed, and was integer"
    ),
    "ALTER TABLE shop.goods ADD COLUMN m int NOT NULL": "shop.goods.m has to be given",
    "DROP FUNCTION shop.price(int)": "shop.price(integer) is gone",
}


async def test_migration_that_would_lock_a_large_table_for_long_is_refused(
    database: str,
) -> None:
    found = await asyncio.to_thread(review, database, *CHEAP, *DEAR)
    refused = {text: one.refusal for text, one in zip((*CHEAP, *DEAR), found, strict=True)}
    assert {text for text, why in refused.items() if why} == set(DEAR), refused
    assert refused[DEAR[1]] == "locks shop.goods for about 500 s"


async def test_what_the_version_before_may_still_use_is_named(database: str) -> None:
    found = await asyncio.to_thread(review, database, *TAKES_AWAY, *CHEAP)
    assert [one.contracts for one in found] == [
        *([said] for said in TAKES_AWAY.values()),
        *([] for _ in CHEAP),
    ]


async def test_migrations_since_the_release_only_add(database: str) -> None:
    """Two versions work beside each other, and the older one can come back."""
    await asyncio.to_thread(apply_first, database, NAMES.index(RELEASED) + 1)

    def later() -> list[Review]:
        with psycopg.connect(database) as scratch:
            return [
                migration_review.review_of(scratch, name, (FOLDER / f"{name}.sql").read_text(), {})
                for name in NAMES[NAMES.index(RELEASED) + 1 :]
            ]

    for one in await asyncio.to_thread(later):
        assert not one.is_too_new_for(chitlaq.__version__), one


async def test_what_no_version_uses_any_more_may_go(database: str) -> None:
    said = "-- Works from 1.2.0\nALTER TABLE shop.goods DROP COLUMN n"
    bare = said.partition("\n")[2]
    declared, undeclared = await asyncio.to_thread(review, database, said, bare)
    versions = ("", "1.1.9", "1.2.0", "1.10.0")
    assert [declared.is_too_new_for(one) for one in versions] == [True, True, False, False]
    assert all(undeclared.is_too_new_for(one) for one in versions)


async def test_command_says_that_nothing_waits(stack: Stack) -> None:
    answer = await asyncio.to_thread(stack.command, "migrate", "--check")
    assert answer.returncode == 0, answer.stderr
    assert "nothing to apply" in answer.stdout


async def test_command_says_what_is_pending_and_changes_nothing(
    stack: Stack, database: str
) -> None:
    await asyncio.to_thread(apply_first, database, len(NAMES) - 1)
    password = (stack.home / "secrets" / "postgres-postgres").read_text().strip()
    url = f"postgresql://postgres:{password}@127.0.0.1:{stack.ports['postgres']}/reviewed"
    for _ in range(2):
        answer = await asyncio.to_thread(
            stack.command, "migrate", "--check", env={"DATABASE_URL": url}
        )
        assert answer.returncode == 0, answer.stderr
        assert NAMES[-1] in answer.stdout
    left = await stack.sql("SELECT datname FROM pg_database WHERE datname LIKE 'chitlaq_review%'")
    assert not left
