"""Actions are shown first, confirmed, and recorded: who, what, when, why, and the outcome."""

from __future__ import annotations

import asyncio
import os
import secrets
import time

import asyncpg
import pytest

from chitlaq.core.installation.home import Home
from chitlaq.ops.actions import cleanup
from tests.conftest import Stack, eventually


def done(stack: Stack, reason: str) -> list[dict[str, object]]:
    return [one for one in stack.json("ops", "actions") if one["reason"] == reason]


@pytest.fixture
def reason() -> str:
    """A reason by which this test finds its own records."""
    return f"to prove it, {secrets.token_hex(4)}"


async def test_nothing_is_done_without_confirmation(stack: Stack) -> None:
    before = stack.ps()["search-service"]["pid"]
    answer = stack.command("ops", "do", "restart", "search-service")
    assert answer.returncode == 0
    assert "restart search-service" in answer.stdout
    assert "Nothing was done." in answer.stdout
    assert stack.ps()["search-service"]["pid"] == before


async def test_without_a_reason_nothing_is_done(stack: Stack) -> None:
    answer = stack.command("ops", "do", "rotate", "--yes")
    assert answer.returncode == 1
    assert "--why" in answer.stderr


async def test_restart_is_done_and_recorded(stack: Stack, reason: str) -> None:
    before = stack.ps()["search-service"]["pid"]
    answer = stack.command(
        "ops", "do", "restart", "search-service", "--yes", "--why", reason, "--as", "ada"
    )
    assert answer.returncode == 0, answer.stderr
    assert stack.ps()["search-service"]["pid"] != before
    (record,) = done(stack, reason)
    assert (record["action"], record["target"], record["operator"]) == (
        "restart",
        "search-service",
        "ada",
    )
    assert record["succeeded"] is True
    assert "search-service: healthy" in str(record["output"])


async def test_blocking_session_is_ended(stack: Stack, reason: str) -> None:
    holder = await asyncpg.connect(stack.dsn())
    waiter = await asyncpg.connect(stack.dsn())
    try:
        process = str(await holder.fetchval("SELECT pg_backend_pid()"))
        await holder.execute("BEGIN; LOCK TABLE feed.blocks")
        waiting = asyncio.create_task(waiter.execute("LOCK TABLE feed.blocks"))
        waiting.add_done_callback(lambda task: task.cancelled() or task.exception())
        answer = await asyncio.to_thread(
            stack.command, "ops", "do", "kill", process, "--yes", "--why", reason
        )
        assert answer.returncode == 0, answer.stderr
        assert "LOCK TABLE feed.blocks" in answer.stdout

        async def is_gone() -> bool:
            rows = await stack.sql("SELECT 1 FROM pg_stat_activity WHERE pid = $1", int(process))
            return not rows

        await eventually(is_gone)
        await asyncio.wait({waiting}, timeout=10)
        assert waiting.done(), "who waited goes on"
    finally:
        await waiter.close()
        holder.terminate()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["explode"], "There is no action explode"),
        (["restart"], "needs a component"),
        (["restart", "nobody"], "There is no component nobody"),
        (["rotate", "feed-service"], "takes no target"),
        (["vacuum", "posts; DROP TABLE x"], "is not a table"),
        (["vacuum", "feed.nothing"], "There is no table feed.nothing"),
        (["kill", "-1"], ""),
        (["kill", "12x"], "is not a PostgreSQL process"),
        (["kill", "999999999"], "no client session"),
        (["kill", "99999999999"], "is not a PostgreSQL process"),
        (["kill", "4294967295"], "is not a PostgreSQL process"),
        (["kill", "٤٢"], "is not a PostgreSQL process"),
        (["rollback", "p'; --"], "no prepared transaction"),
    ],
)
def test_impossible_action_is_refused_before_it_starts(
    stack: Stack, words: list[str], said: str
) -> None:
    answer = stack.command("ops", "do", *words, "--yes", "--why", "to see it refused")
    assert answer.returncode in {1, 2}
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr


async def test_vacuum_removes_dead_rows(stack: Stack, reason: str) -> None:
    await stack.sql("DELETE FROM auth.universities WHERE false")
    answer = stack.command("ops", "do", "vacuum", "auth.universities", "--yes", "--why", reason)
    assert answer.returncode == 0, answer.stderr

    async def is_vacuumed() -> bool:
        (row,) = await stack.sql(
            "SELECT last_vacuum > now() - interval '1 minute' AS is_new FROM pg_stat_user_tables"
            " WHERE schemaname = 'auth' AND relname = 'universities'"
        )
        return bool(row["is_new"])

    await eventually(is_vacuumed)


async def test_only_old_files_without_a_writer_are_deleted(stack: Stack, reason: str) -> None:
    logs = stack.home / "logs"
    old, young, draft = logs / "x.log.7.gz", logs / "x.log.1", logs / "x.draft"
    for file in (old, young, draft):
        file.write_bytes(b"x" * 1000)
    before = time.time() - 8 * 86_400
    os.utime(old, (before, before))
    os.utime(draft, (before, before))
    found = {one.path for one in await cleanup.candidates(Home(stack.home))}
    assert found >= {old, draft}
    assert not {file for file in found if file.suffix == ".log"} | {young} & found
    shown = stack.command("ops", "do", "prune")
    assert str(old) in shown.stdout
    assert old.exists()
    answer = stack.command("ops", "do", "prune", "--yes", "--why", reason)
    assert answer.returncode == 0, answer.stderr
    assert not old.exists()
    assert not draft.exists()
    assert young.exists()
    young.unlink()
