"""Before an upgrade an operator knows what it meets, and one that members would notice is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import chitlaq
from chitlaq.core.data.migration_review import Review, Work
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import SecretUrl
from chitlaq.core.installation.settings import Settings
from chitlaq.ops import upgrade_check
from chitlaq.stack.supervisor import control
from tests.conftest import Stack
from tests.other_versions import LATER, later_version


async def check(stack: Stack, later: dict[str, str]) -> Any:
    return await asyncio.to_thread(stack.command, "upgrade", "--check", env=later)


async def test_upgrade_that_only_adds_may_begin_and_the_check_changes_nothing(
    stack: Stack, tmp_path: Path
) -> None:
    later = later_version(tmp_path, "ALTER TABLE feed.posts ADD COLUMN later text")
    answer = await check(stack, later)
    assert answer.returncode == 0, answer.stderr
    assert f"on from {chitlaq.__version__} to {LATER}" in answer.stdout
    for said in ("9999_later", "feed.posts (AccessExclusiveLock)", "all are well", "needed"):
        assert said in answer.stdout
    assert "proven backup" in answer.stdout
    assert not await stack.sql("SELECT FROM _yoyo_migration WHERE migration_id = '9999_later'")


async def test_upgrade_that_takes_away_what_the_running_version_uses_is_refused(
    stack: Stack, tmp_path: Path
) -> None:
    later = later_version(tmp_path, "ALTER TABLE feed.posts RENAME COLUMN text TO words")
    # It is the database that runs that is asked, and not the one of tomorrow.
    file = stack.home / "chitlaq.toml"
    file.write_text('database_url = "postgresql://chitlaq@127.0.0.1:9/elsewhere"\n')
    try:
        answer = await check(stack, later)
    finally:
        file.unlink()
    assert answer.returncode == 1
    assert "database_url in the file can change only while everything is stopped" in answer.stderr
    assert f"takes away what {chitlaq.__version__} may use" in answer.stderr


def test_migration_that_would_lock_for_minutes_is_refused() -> None:
    work = Work("feed.posts", "AccessExclusiveLock", 10_000_000_000)
    found = upgrade_check._migrations([Review("9999_later", [work], [])], "1.0.0")
    assert found.refusal == "9999_later locks feed.posts for about 500 s"


def test_full_disk_is_refused(tmp_path: Path) -> None:
    work = Work("feed.posts", "RowExclusiveLock", 10**18)
    home, pending = Home(tmp_path), [Review("9999_later", [work], [])]
    assert upgrade_check._disk(home, Settings(), pending).refusal
    assert not upgrade_check._disk(home, Settings(), []).refusal
    # That of an external PostgreSQL is not seen, and another one's is not taken for it.
    elsewhere = Settings(database_url=SecretUrl("postgresql://db.example.edu/chitlaq"))
    found = upgrade_check._disk(home, elsewhere, pending)
    assert not found.refusal
    assert "see that PostgreSQL's has" in found.said


async def test_running_version_is_the_supervisors(stack: Stack) -> None:
    version = await asyncio.to_thread(control.running_version, Home(stack.home))
    assert version == chitlaq.__version__
