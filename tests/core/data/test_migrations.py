"""Migrations run forwards, on a database with data, once, by one process at a time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from yoyo import get_backend, read_migrations

import chitlaq
from tests.conftest import Stack

FOLDER = Path(chitlaq.__file__).parent / "migrations"
NAMES = sorted(path.stem for path in FOLDER.glob("*.sql"))


OLD_DATA = """
WITH account AS (
    INSERT INTO auth.accounts (university_id, email, username, display_name, password_hash)
    SELECT id, 'kept@example.edu', 'kept', 'Kept', 'x' FROM auth.universities LIMIT 1
    RETURNING id, university_id
)
SELECT feed.create_member(id, university_id, 'kept', 'Kept') FROM account;
WITH post AS (
    INSERT INTO feed.posts (author_id, text) SELECT id, 'to be delivered' FROM feed.members RETURNING id
)
INSERT INTO feed.deliveries (post_id, request_id) SELECT id, 'of the post' FROM post;
INSERT INTO mail.messages (to_address, subject, text, html, request_id, attempts, last_error, sent_at)
VALUES ('sent@example.edu', 'Sent', '', '', 'of the sent mail', 1, NULL, now()),
       ('kept@example.edu', 'Unsent', 'text', 'html', 'of the mail', 3, 'come back later', NULL);
"""


@pytest.fixture
async def database(stack: Stack) -> AsyncIterator[str]:
    """An empty database on the stack's server; its URL, for ``DATABASE_URL``."""
    await stack.sql("CREATE DATABASE forwards OWNER chitlaq")
    password = (stack.home / "secrets" / "postgres-postgres").read_text().strip()
    yield f"postgresql://postgres:{password}@127.0.0.1:{stack.ports['postgres']}/forwards"
    await stack.sql("DROP DATABASE forwards WITH (FORCE)")


def apply_first(url: str, count: int) -> None:
    """Bring a database to where an older version, with fewer migrations, left it."""
    backend = get_backend(url.replace("postgresql://", "postgresql+psycopg://", 1))
    try:
        backend.apply_migrations(read_migrations(str(FOLDER))[:count])
    finally:
        backend.connection.close()


async def test_migrations_apply_to_what_an_older_version_left_with_data(
    stack: Stack, database: str
) -> None:
    """One of several processes applies them, the others wait; what was stored is still there."""
    first = NAMES.index("0009_jobs")
    await asyncio.to_thread(apply_first, stack.dsn("chitlaq", "forwards"), first)
    environment = {"DATABASE_URL": database}
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(OLD_DATA)
        answers = await asyncio.gather(
            *(asyncio.to_thread(stack.command, "migrate", env=environment) for _ in range(3))
        )
        assert all(one.returncode == 0 for one in answers), [one.stderr for one in answers]
        applied = [name for one in answers for name in re.findall(r"applied (\S+)", one.stdout)]
        assert applied == NAMES[first:]
        (account,) = await connection.fetch("SELECT username FROM auth.accounts")
        assert account["username"] == "kept"
        found = await connection.fetch(
            "SELECT kind, request_id, attempts, reason FROM jobs.jobs ORDER BY kind"
        )
        assert [tuple(row) for row in found] == [
            ("deliver_post", "of the post", 0, None),
            ("send_mail", "of the mail", 3, "come back later"),
        ]

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
