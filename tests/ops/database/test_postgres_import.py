"""The history of earlier versions moves out of PostgreSQL and waiting files, and none of it is lost."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import msgspec
import pytest

from chitlaq.core import ids
from chitlaq.core.data import postgres
from chitlaq.core.data.mail import Mail
from chitlaq.core.data.postgres import Database
from chitlaq.core.installation.home import Home
from chitlaq.ops.actions import record
from chitlaq.ops.checks.model import Evidence, Section, Table, Value, Verdict
from chitlaq.ops.checks.runner import Result, Run
from chitlaq.ops.database import postgres_import
from chitlaq.ops.database.database import (
    OpsDatabase,
    OpsDatabaseUnavailableError,
    Statement,
    statement,
)
from chitlaq.ops.history import alert_history, notes, run_history
from tests.conftest import Stack

NOW = datetime(2026, 11, 20, 9, 0, 0, 123456, tzinfo=UTC)
_TABLES = ("runs", "results", "notes", "actions", "alerts", "scheduled_runs", "log_patterns")


def run(number: int) -> Run:
    evidence: list[Evidence] = [Table("t", ["a"], [["1"]])]
    result = Result(
        "host.disk", "Disk", Section.HOST, Verdict.OK, "fine", {"used": Value(0.5, "ratio")},
        evidence, "mend it", 0.25,
    )  # fmt: skip
    return Run(ids.new(), f"old-{number}", NOW, 1.5, Verdict.OK, "ada", "vm", [result])


async def plant(stack: Stack) -> tuple[Run, str]:
    """History of an earlier version in PostgreSQL: a run, and one of all else with this name."""
    kept, name = run(0), secrets.token_hex(6)
    (result,) = kept.results
    await stack.sql(
        "INSERT INTO ops.runs VALUES ($1, $2, 'OK', $3, 1.5, 'ada', 'vm')",
        kept.id, kept.routine, kept.started_at,
    )  # fmt: skip
    await stack.sql(
        "INSERT INTO ops.results VALUES ($1, 'host.disk', 'Disk', $2, 'OK', 'fine', $3, $4, 'mend it', 0.25)",
        kept.id, result.section,
        msgspec.json.encode(result.values).decode(), msgspec.json.encode(result.evidence).decode(),
    )  # fmt: skip
    for query in (
        f"INSERT INTO ops.notes (check_id, kind, text, operator) VALUES ('{name}', 'note', 'x', 'ada')",
        f"INSERT INTO ops.actions (action, target, operator, reason) VALUES ('{name}', '', 'ada', 'full')",
        (
            "INSERT INTO ops.alerts (fingerprint, name, severity, labels, summary, procedure, started_at)"
            f" VALUES ('{name}', '{name}', 'P2', '{{\"a\": \"b\"}}', 's', 'p', now())"
        ),
        f"INSERT INTO ops.scheduled_runs VALUES ('{name}', now(), now(), now())",
        f"INSERT INTO ops.log_patterns VALUES ('redis', '{name}', now(), now())",
    ):
        await stack.sql(query)
    return kept, name


async def require_moved(stack: Stack, new: OpsDatabase, kept: Run, name: str) -> None:
    assert await run_history.newest(new, kept.routine, 5) == [kept]
    assert [one.text for one in await notes.listed(new, [name], 5)] == ["x"]
    assert [one.action for one in await record.listed(new, 100)].count(name) == 1
    found = await alert_history.alerts(new, is_active=True, limit=100)
    assert [one.labels for one in found if one.name == name] == [{"a": "b"}]
    assert await new.write(("begin_schedule", [name, "2026", "2026"])) == 0, "it is known"
    known = statement("copy_pattern", "redis", name, NOW, NOW)
    assert await new.write(known) == 1
    for table in _TABLES:
        assert await stack.sql(f"SELECT FROM ops.{table}") == []


@asynccontextmanager
async def earlier(url: str) -> AsyncIterator[Database]:
    old = Database(url, "test", postgres.load_queries("chitlaq.ops.database", "test"))
    try:
        yield old
    finally:
        await old.close()


async def test_history_in_postgresql_moves_over_once(stack: Stack, tmp_path: Path) -> None:
    kept, name = await plant(stack)
    async with earlier(stack.dsn("chitlaq_ops")) as old:
        with OpsDatabase(Home(tmp_path)) as new:
            for _ in range(2):
                await postgres_import.move(Home(tmp_path), old, new)
            await require_moved(stack, new, kept, name)


async def test_history_moves_when_postgresql_comes_up_after_the_first_start(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_import, "RETRY_SECONDS", 0.05)
    kept, name = await plant(stack)
    later = tmp_path / "later"
    url = urlsplit(stack.dsn("chitlaq_ops"))
    user, _, _ = url.netloc.rpartition("@")
    by_socket = url._replace(netloc=f"{user}@", query=f"host={later}&port={url.port}")
    async with earlier(urlunsplit(by_socket)) as old:
        with OpsDatabase(Home(tmp_path)) as new:
            moving = asyncio.create_task(postgres_import.move(Home(tmp_path), old, new))
            await asyncio.wait([moving], timeout=0.5)
            assert not moving.done()
            assert await run_history.store(new, run(1)) == "", "the new version works meanwhile"
            later.symlink_to(Home(stack.home).postgres_socket)
            await asyncio.wait_for(moving, 30)
            await require_moved(stack, new, kept, name)


def _die_at(number: int, url: str, home: Path) -> None:
    """Move until a transaction of this number is in the new database, and not yet out of PostgreSQL."""

    class Killed(OpsDatabase):
        left = number

        async def write(self, *statements: Statement) -> int:
            changed = await super().write(*statements)
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)
            return changed

    async def move() -> None:
        async with earlier(url) as old:
            with Killed(Home(home)) as new:
                await postgres_import.move(Home(home), old, new)

    asyncio.run(move())


async def test_kill_9_in_the_move_loses_nothing_and_repeats_nothing(
    stack: Stack, tmp_path: Path
) -> None:
    kept, name = await plant(stack)
    url = stack.dsn("chitlaq_ops")
    # In the transaction of each table; results are in that of the runs. All but the first one repeat one.
    for number in (1, 2, 2, 2, 2, 2):
        mover = multiprocessing.get_context("fork").Process(
            target=_die_at, args=(number, url, tmp_path)
        )
        mover.start()
        await asyncio.to_thread(mover.join)
        assert mover.exitcode == -signal.SIGKILL
    async with earlier(url) as old:
        with OpsDatabase(Home(tmp_path)) as new:
            await postgres_import.move(Home(tmp_path), old, new)
            await require_moved(stack, new, kept, name)


async def test_nothing_leaves_postgresql_that_was_not_stored(stack: Stack, tmp_path: Path) -> None:
    name = secrets.token_hex(6)
    await stack.sql(
        "INSERT INTO ops.notes (check_id, kind, text, operator) VALUES ($1, 'note', 'x', 'ada')",
        name,
    )
    (tmp_path / "ops").write_text("in the way")
    async with earlier(stack.dsn("chitlaq_ops")) as old:
        with (
            OpsDatabase(Home(tmp_path)) as new,
            pytest.raises(OpsDatabaseUnavailableError),
        ):
            await postgres_import.move_rows(old, new)
    assert len(await stack.sql("SELECT FROM ops.notes WHERE check_id = $1", name)) == 1
    await stack.sql("DELETE FROM ops.notes WHERE check_id = $1", name)


async def test_waiting_files_are_stored_and_broken_ones_set_aside(tmp_path: Path) -> None:
    home, waiting = Home(tmp_path), tmp_path / "ops" / "waiting"
    kept, done = run(1), record.begun("rotate", "", "ada", "test")
    report = Mail("ops@example.edu", "the day", "text", "page", [])
    alert = {
        "alerts": [
            {
                "status": "firing", "labels": {"alertname": "Old"}, "annotations": {},
                "startsAt": "2026-11-20T10:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
                "fingerprint": "f",
            }
        ]
    }  # fmt: skip
    for kind, content in (("runs", kept), ("actions", done), ("mail", report), ("alerts", alert)):
        (waiting / kind).mkdir(parents=True)
        (waiting / kind / "1.json").write_bytes(msgspec.json.encode(content))
        (waiting / kind / "0.json").write_text("half a fi")
    with OpsDatabase(home) as new:
        assert await asyncio.wait_for(postgres_import.move_files(home, new), 10) == 4
        assert await run_history.newest(new, kept.routine, 5) == [kept]
        assert await record.listed(new, 5) == [done]
        assert [one.name for one in await alert_history.alerts(new, is_active=True, limit=5)] == [
            "Old"
        ]
        (row,) = await new.rows("waiting_mails")
        assert msgspec.json.decode(row["record"], type=Mail) == report
    assert {path.name for path in waiting.rglob("*.*")} == {"0.broken"}
