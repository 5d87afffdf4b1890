"""Runs and operators' notes are stored: in PostgreSQL, or in the outbox until it is back."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from chitlaq.core import ids
from chitlaq.core.data import postgres
from chitlaq.core.data.postgres import Database
from chitlaq.core.installation.home import Home
from chitlaq.ops.actions import record
from chitlaq.ops.checks.model import Lines, Section, Table, TimeSeries, Value, Verdict, worst
from chitlaq.ops.checks.runner import Result, Run
from chitlaq.ops.history import notes, run_history, spool
from chitlaq.ops.history.database import queries as named_queries
from chitlaq.ops.report.text import markdown, nagios
from tests.conftest import Stack, free_ports

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


@asynccontextmanager
async def history(dsn: str) -> AsyncIterator[Database]:
    database = Database(dsn, "test", named_queries("test"))
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture
async def database(stack: Stack) -> AsyncIterator[Database]:
    async with history(stack.dsn("chitlaq_ops")) as database:
        yield database


@pytest.fixture
def routine() -> str:
    """A routine that only this test uses."""
    return f"test-{secrets.token_hex(4)}"


def result(check: str, verdict: Verdict, summary: str = "as it is") -> Result:
    return Result(
        check,
        f"Title of {check}",
        Section.HOST,
        verdict,
        summary,
        {"used": Value(0.5, "ratio", 0.8, 0.9), "free": Value(12.0, "bytes")},
        [
            Table("t", ["a", "b"], [["1", "<&|'\"%"]]),
            Lines("l", ["one line", "ünïcödé ☃"]),
            TimeSeries("s", "seconds", [(NOW, 1.5), (NOW + timedelta(hours=1), 2.5)]),
        ],
        "mend it",
        0.25,
    )


def run(routine: str, *results: Result, started_at: datetime = NOW) -> Run:
    verdict = worst(one.verdict for one in results)
    return Run(ids.new(), routine, started_at, 1.5, verdict, "ada", "vm", list(results))


async def test_run_is_stored_and_read_unchanged(
    database: Database, routine: str, tmp_path: Path
) -> None:
    kept = run(routine, result("a.b", Verdict.CRITICAL), result("c.d", Verdict.OK))
    assert await run_history.store_or_enqueue(database, Home(tmp_path), kept) == ""
    assert await run_history.newest(database, routine) == [kept]
    assert await run_history.find(database, str(kept.id)[:23]) == kept
    (listed,) = await run_history.listed(database, routine, 10)
    assert (listed.id, listed.counts) == (kept.id, {Verdict.CRITICAL: 1, Verdict.OK: 1})


async def test_run_without_postgresql_is_stored_once_it_is_back(
    database: Database, routine: str, tmp_path: Path
) -> None:
    home, kept = Home(tmp_path), run(routine, result("a.b", Verdict.UNKNOWN))
    (nobody,) = free_ports(1)
    async with history(f"postgresql://x:y@127.0.0.1:{nobody}/chitlaq") as away:
        assert "recorded in a file" in await run_history.store_or_enqueue(away, home, kept)
        with pytest.raises(postgres.PostgresUnavailableError):
            await run_history.store_queued(away, home)
    # A process that was killed between storing and removing the file leaves both.
    run_history.enqueue(home, kept)
    await run_history.store(database, kept)
    assert await run_history.store_queued(database, home) == 1
    assert await run_history.newest(database, routine, 5) == [kept]
    assert await run_history.store_queued(database, home) == 0


async def test_run_waits_in_memory_if_postgresql_and_disk_fail(
    database: Database, routine: str, tmp_path: Path
) -> None:
    home, kept = Home(tmp_path), run(routine, result("a.b", Verdict.CRITICAL))
    # A file in place of the folder: even root cannot write there.
    (tmp_path / "ops").write_text("in the way")
    (nobody,) = free_ports(1)
    async with history(f"postgresql://x:y@127.0.0.1:{nobody}/chitlaq") as away:
        assert "recorded in a file" in await run_history.store_or_enqueue(away, home, kept)
    folder = spool.in_memory(home, run_history.KIND)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert await run_history.store_queued(database, home) == 1
    assert await run_history.newest(database, routine, 5) == [kept]
    assert not folder.exists()


async def test_run_that_cannot_be_stored_anywhere_is_reported(
    routine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ops").write_text("in the way")
    monkeypatch.setattr(spool, "MEMORY", tmp_path / "ops")
    (nobody,) = free_ports(1)
    async with history(f"postgresql://x:y@127.0.0.1:{nobody}/chitlaq") as away:
        said = await run_history.store_or_enqueue(
            away, Home(tmp_path), run(routine, result("a.b", Verdict.OK))
        )
    assert "not recorded" in said
    assert "Save the output above" in said


async def test_unstorable_record_is_set_aside_and_blocks_no_other(
    database: Database, routine: str, tmp_path: Path
) -> None:
    home, kept = Home(tmp_path), run(routine, result("a.b", Verdict.OK))
    refused = run(routine, result("a.b", Verdict.OK, "bad \0 byte"))
    run_history.enqueue(home, refused)
    run_history.enqueue(home, kept)
    folder = tmp_path / "ops" / "waiting" / "runs"
    (folder / "0.json").write_text("half a fi")
    assert await run_history.store_queued(database, home) == 1
    assert {path.stem for path in folder.glob("*.broken")} == {"0", str(refused.id)}
    assert [one.id for one in await run_history.newest(database, routine, 5)] == [kept.id]


async def test_truncated_action_in_the_outbox_blocks_no_other(
    database: Database, tmp_path: Path
) -> None:
    home = Home(tmp_path)
    done = record.ended(record.begun("rotate", "", "ada", "test"), "done", succeeded=True)
    record.enqueue(home, done)
    (tmp_path / "ops" / "waiting" / "actions" / "0.json").write_bytes(b"")
    assert await record.store_queued(database, home) == 1
    assert done in await record.listed(database, 100)


async def acknowledged(database: Database, check: str) -> list[str]:
    found = await notes.listed(database, [check], 10)
    return [one.text for one in found if one.kind == "acknowledgement" and one.ended_at is None]


async def test_acknowledgement_holds_until_the_check_is_ok_again(
    database: Database, routine: str
) -> None:
    check = f"x.{secrets.token_hex(4)}"
    await notes.add(database, check, "acknowledgement", "disks come on Friday", "ada")
    await notes.add(database, check, "acknowledgement", "on Monday", "grace")
    await notes.add(database, check, "note", "called the supplier", "grace")
    assert await acknowledged(database, check) == ["on Monday"]
    await run_history.store(database, run(routine, result(check, Verdict.WARNING)))
    assert await acknowledged(database, check) == ["on Monday"]
    await run_history.store(database, run(routine, result(check, Verdict.OK)))
    assert await acknowledged(database, check) == []
    kept = await notes.listed(database, [check], 10)
    assert [(one.kind, one.operator) for one in kept] == [
        ("note", "grace"),
        ("acknowledgement", "grace"),
        ("acknowledgement", "ada"),
    ]


async def test_history_is_pruned_by_age(database: Database, routine: str) -> None:
    old = run(routine, result("a.b", Verdict.OK), started_at=NOW - timedelta(days=4000))
    new = run(routine, result("a.b", Verdict.OK), started_at=datetime.now(UTC))
    for one in (old, new):
        await run_history.store(database, one)
    assert await run_history.prune(database, 3000) >= 1
    assert [one.id for one in await run_history.newest(database, routine, 5)] == [new.id]


async def test_notes_around_a_run_are_shown_with_it(
    database: Database, stack: Stack, routine: str
) -> None:
    bad, good = (f"x.{secrets.token_hex(4)}" for _ in range(2))
    at = NOW - timedelta(days=100)

    async def say(check: str, kind: str, text: str, days: float, ended: float | None) -> None:
        await stack.sql(
            "INSERT INTO ops.notes (check_id, kind, text, operator, created_at, ended_at)"
            " VALUES ($1, $2, $3, 'ada', $4, $5)",
            check, kind, text, at + timedelta(days=days),
            None if ended is None else at + timedelta(days=ended),
        )  # fmt: skip

    for check in (bad, good):
        await say(check, "acknowledgement", "over before", -20, -10)
        await say(check, "acknowledgement", "held", -10, 5)
        await say(check, "note", "long ago", -8, None)
        await say(check, "note", "seen", -2, None)
        await say(check, "note", "the day after", 0.5, None)
        await say(check, "note", "of another time", 3, None)
    found = await notes.with_notes(
        database,
        run(routine, result(bad, Verdict.WARNING), result(good, Verdict.OK), started_at=at),
    )
    said = {one.check: [note.text for note in one.notes] for one in found.results}
    assert said == {bad: ["held", "seen", "the day after"], good: ["seen", "the day after"]}


async def test_ended_records_are_pruned_by_age_and_open_ones_stay(
    database: Database, stack: Stack
) -> None:
    check, long_ago = f"x.{secrets.token_hex(4)}", datetime.now(UTC) - timedelta(days=4000)
    for kind, text, days in (
        ("acknowledgement", "holds", None),
        ("acknowledgement", "over", 1),
        ("acknowledgement", "over since yesterday", 3999),
        ("note", "old", None),
    ):
        await stack.sql(
            "INSERT INTO ops.notes (check_id, kind, text, operator, created_at, ended_at)"
            " VALUES ($1, $2, $3, 'ada', $4, $5)",
            check, kind, text, long_ago, None if days is None else long_ago + timedelta(days=days),
        )  # fmt: skip
    await notes.add(database, check, "note", "new", "ada")
    for name, ended in (("goes on", None), ("over", long_ago), ("just over", NOW)):
        await stack.sql(
            "INSERT INTO ops.alerts"
            " (fingerprint, name, severity, labels, summary, procedure, started_at, ended_at)"
            " VALUES ($1, $2, 'P3', '{}', '', '', $3, $4)",
            f"{check} {name}", check, long_ago, ended,
        )  # fmt: skip
    await run_history.prune(database, 3000)
    kept = {one.text for one in await notes.listed(database, [check], 10)}
    assert kept == {"holds", "over since yesterday", "new"}
    alerts = await stack.sql("SELECT fingerprint FROM ops.alerts WHERE name = $1", check)
    assert {row["fingerprint"].removeprefix(f"{check} ") for row in alerts} == {
        "goes on",
        "just over",
    }
    # Other tests must not find an alert that never ends.
    await stack.sql("DELETE FROM ops.alerts WHERE name = $1", check)


def test_plugin_output_has_status_figures_and_problems() -> None:
    text = nagios(
        run("morning", result("a.b", Verdict.CRITICAL, "broken | badly"), result("c.d", Verdict.OK))
    )
    head, fault = text.splitlines()
    status, _, figures = head.partition(" | ")
    assert status == "CHITLAQ CRITICAL - morning: 1 critical, 1 ok"
    assert "'a.b.used'=0.5;0.8;0.9" in figures.split(" ")
    assert "'a.b.free'=12B" in figures.split(" ")
    assert fault == "CRITICAL a.b: broken / badly"
    falling = msgspec.structs.replace(
        result("a.b", Verdict.OK), values={"free": Value(0.5, "ratio", 0.15, 0.05)}
    )
    assert "'a.b.free'=0.5;0.15:;0.05:" in nagios(run("check", falling))


def test_log_line_cannot_break_markdown() -> None:
    evil = "a | b `c` <script> [x](y)\nsecond *line*"
    page = markdown(run("morning", result("a.b", Verdict.WARNING, evil)))
    (row,) = [line for line in page.splitlines() if line.startswith("| WARNING")]
    assert row.replace("\\|", "").count("|") == 4
    assert "<script>" not in page.replace("\\<", "")
