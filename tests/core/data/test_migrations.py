"""Migrations run forwards, on a database with data, once, by one process at a time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

import chitlaq
from tests.conftest import Stack

FOLDER = Path(chitlaq.__file__).parent / "migrations"
NAMES = sorted(path.stem for path in FOLDER.glob("*.sql"))


@pytest.fixture
async def database(stack: Stack) -> AsyncIterator[str]:
    """An empty database on the stack's server; its URL, for ``DATABASE_URL``."""
    await stack.sql("CREATE DATABASE forwards OWNER chitlaq")
    password = (stack.home / "secrets" / "postgres-postgres").read_text().strip()
    yield f"postgresql://postgres:{password}@127.0.0.1:{stack.ports['postgres']}/forwards"
    await stack.sql("DROP DATABASE forwards WITH (FORCE)")


async def test_each_migration_applies_to_what_the_one_before_left_with_data(
    stack: Stack, database: str
) -> None:
    """Rows are put in as soon as their table exists, and are still there at the end."""
    environment = {"DATABASE_URL": database}
    answer = await asyncio.to_thread(stack.command, "migrate", "--provision", env=environment)
    assert answer.returncode == 0, answer.stderr
    assert re.findall(r"applied (\S+)", answer.stdout) == NAMES

    connection = await asyncpg.connect(database)
    try:
        await connection.execute(
            "INSERT INTO auth.accounts (university_id, email, username, display_name, password_hash)"
            " SELECT id, 'kept@example.edu', 'kept', 'Kept', 'x' FROM auth.universities LIMIT 1"
        )
        # As an older version left it: the last migration was not there yet.
        await connection.execute("DROP VIEW auth.active_members; DROP INDEX auth.sessions_by_use")
        await connection.execute("DELETE FROM _yoyo_migration WHERE migration_id = $1", NAMES[-1])
        answers = await asyncio.gather(
            *(asyncio.to_thread(stack.command, "migrate", env=environment) for _ in range(3))
        )
        assert all(one.returncode == 0 for one in answers), [one.stderr for one in answers]
        applied = [name for one in answers for name in re.findall(r"applied (\S+)", one.stdout)]
        assert applied == [NAMES[-1]], "one process applies it, the others wait and find it done"
        assert (
            await connection.fetchval("SELECT count(*) FROM auth.accounts WHERE username = 'kept'")
            == 1
        )

        await connection.execute(
            "INSERT INTO _yoyo_migration (migration_hash, migration_id, applied_at_utc)"
            " VALUES ('from-the-future', '9999_later', now())"
        )
        refused = await asyncio.to_thread(stack.command, "migrate", env=environment)
        assert refused.returncode == 1
        assert "was used by a newer version of ChitLaq" in refused.stderr
    finally:
        await connection.close()


async def test_server_that_is_away_is_one_sentence(stack: Stack) -> None:
    environment = {"DATABASE_URL": "postgresql://postgres:x@127.0.0.1:1/chitlaq"}
    answer = await asyncio.to_thread(stack.command, "migrate", "--provision", env=environment)
    assert answer.returncode == 1
    assert answer.stderr.startswith("chitlaq: PostgreSQL is not reachable")
    assert len(answer.stderr.splitlines()) == 1
