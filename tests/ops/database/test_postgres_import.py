"""The history of earlier versions moves out of PostgreSQL and waiting files, and none of it is lost."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime
from pathlib import Path

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
from chitlaq.ops.database.database import OpsDatabase, OpsDatabaseUnavailableError
from chitlaq.ops.history import alert_history, notes, run_history
from tests.conftest import Stack

NOW = datetime(2026, 11, 20, 9, 0, 0, 123456, tzinfo=UTC)


def run(number: int) -> Run:
    evidence: list[Evidence] = [Table("t", ["a"], [["1"]])]
    result = Result(
        "host.disk", "Disk", Section.HOST, Verdict.OK, "fine", {"used": Value(0.5, "ratio")},
        evidence, "mend it", 0.25,
    )  # fmt: skip
    return Run(ids.new(), f"old-{number}", NOW, 1.5, Verdict.OK, "ada", "vm", [result])


async def test_history_in_postgresql_moves_over_once(stack: Stack, tmp_path: Path) -> None:
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
    for statement in (
        f"INSERT INTO ops.notes (check_id, kind, text, operator) VALUES ('{name}', 'note', 'x', 'ada')",
        f"INSERT INTO ops.actions (action, target, operator, reason) VALUES ('{name}', '', 'ada', 'full')",
        (
            "INSERT INTO ops.alerts (fingerprint, name, severity, labels, summary, procedure, started_at)"
            f" VALUES ('{name}', '{name}', 'P2', '{{\"a\": \"b\"}}', 's', 'p', now())"
        ),
        f"INSERT INTO ops.scheduled_runs VALUES ('{name}', now(), now(), now())",
        f"INSERT INTO ops.log_patterns VALUES ('redis', '{name}', now(), now())",
    ):
        await stack.sql(statement)
    queries = postgres.load_queries("chitlaq.ops.database", "test")
    old = Database(stack.dsn("chitlaq_ops"), "test", queries)
    try:
        with OpsDatabase(Home(tmp_path)) as new:
            for _ in range(2):
                await postgres_import.move(Home(tmp_path), old, new)
            assert await run_history.newest(new, kept.routine, 5) == [kept]
            assert [one.text for one in await notes.listed(new, [name], 5)] == ["x"]
            assert name in {one.action for one in await record.listed(new, 100)}
            (alert,) = [
                one
                for one in await alert_history.alerts(new, is_active=True, limit=100)
                if one.name == name
            ]
            assert alert.labels == {"a": "b"}
            assert await new.write(("begin_schedule", [name, "2026", "2026"])) == 0, "it is known"
    finally:
        await old.close()
    for table in (
        "runs",
        "results",
        "notes",
        "actions",
        "alerts",
        "scheduled_runs",
        "log_patterns",
    ):
        assert await stack.sql(f"SELECT FROM ops.{table}") == []


async def test_nothing_leaves_postgresql_that_was_not_stored(stack: Stack, tmp_path: Path) -> None:
    name = secrets.token_hex(6)
    await stack.sql(
        "INSERT INTO ops.notes (check_id, kind, text, operator) VALUES ($1, 'note', 'x', 'ada')",
        name,
    )
    (tmp_path / "ops").write_text("in the way")
    queries = postgres.load_queries("chitlaq.ops.database", "test")
    old = Database(stack.dsn("chitlaq_ops"), "test", queries)
    try:
        with (
            OpsDatabase(Home(tmp_path)) as new,
            pytest.raises(OpsDatabaseUnavailableError),
        ):
            await postgres_import.move_rows(old, new)
    finally:
        await old.close()
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
