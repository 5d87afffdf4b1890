"""Runs, actions and operators' notes are stored, and pruned by age."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from chitlaq.core import ids
from chitlaq.core.installation.home import Home
from chitlaq.ops.actions import record
from chitlaq.ops.checks.model import Lines, Section, Table, TimeSeries, Value, Verdict, worst
from chitlaq.ops.checks.runner import Result, Run
from chitlaq.ops.database.database import OpsDatabase, statement
from chitlaq.ops.history import alert_history, notes, run_history
from chitlaq.ops.report.text import markdown, nagios

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[OpsDatabase]:
    with OpsDatabase(Home(tmp_path)) as database:
        yield database


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


async def test_run_is_stored_once_and_read_unchanged(database: OpsDatabase) -> None:
    kept = run("morning", result("a.b", Verdict.CRITICAL), result("c.d", Verdict.OK))
    for _ in range(2):
        assert await run_history.store(database, kept) == ""
    assert await run_history.newest(database, "morning", 5) == [kept]
    assert await run_history.find(database, str(kept.id)[:23]) == kept
    (listed,) = await run_history.listed(database, "morning", 10)
    assert (listed.id, listed.counts) == (kept.id, {Verdict.CRITICAL: 1, Verdict.OK: 1})
    assert await run_history.listed(database, "midday", 10) == []


async def test_action_is_recorded_whatever_the_order_of_its_begin_and_end(
    database: OpsDatabase,
) -> None:
    begun = record.begun("rotate", "", "ada", "test")
    done = record.ended(begun, "done", succeeded=True)
    for order in ((begun, done), (done, begun)):
        for one in order:
            await record.store(database, one)
        assert await record.listed(database, 100) == [done]


async def acknowledged(database: OpsDatabase, check: str) -> list[str]:
    found = await notes.listed(database, [check], 10)
    return [one.text for one in found if one.kind == "acknowledgement" and one.ended_at is None]


async def test_acknowledgement_holds_until_the_check_is_ok_again(database: OpsDatabase) -> None:
    check, routine = "x.y", "morning"

    def later(verdict: Verdict) -> Run:
        return run(routine, result(check, verdict), started_at=datetime.now(UTC))

    earlier = later(Verdict.OK)
    await notes.add(database, check, "acknowledgement", "disks come on Friday", "ada")
    await notes.add(database, check, "acknowledgement", "on Monday", "grace")
    await notes.add(database, check, "note", "called the supplier", "grace")
    assert await acknowledged(database, check) == ["on Monday"]
    await run_history.store(database, later(Verdict.WARNING))
    await run_history.store(database, earlier)
    assert await acknowledged(database, check) == ["on Monday"], "a run from before it ends nothing"
    await run_history.store(database, later(Verdict.OK))
    assert await acknowledged(database, check) == []
    kept = await notes.listed(database, [check], 10)
    assert [(one.kind, one.operator) for one in kept] == [
        ("note", "grace"),
        ("acknowledgement", "grace"),
        ("acknowledgement", "ada"),
    ]


async def test_history_is_pruned_by_age(database: OpsDatabase) -> None:
    old = run("morning", result("a.b", Verdict.OK), started_at=NOW - timedelta(days=4000))
    await run_history.store(database, old)
    new = await run_daily(database, 4)
    before = await run_history.beginning(database, 3, NOW)
    assert await run_history.prune(database, before) == 1
    assert await run_history.newest(database, "morning", 9) == new


async def run_daily(database: OpsDatabase, days: int, newest: datetime = NOW) -> list[Run]:
    """Runs of so many days; the newest is the first."""
    made = [run("morning", started_at=newest - timedelta(days=number)) for number in range(days)]
    for one in made:
        await run_history.store(database, one)
    return made


@pytest.mark.parametrize("days", [1, 365])
async def test_clock_that_is_ahead_prunes_nothing_early(database: OpsDatabase, days: int) -> None:
    runs = await run_daily(database, 4)
    await say(database, "x.y", "note", "old", runs[-1].started_at, None)
    ahead = NOW + timedelta(days=days)
    runs = await run_daily(database, 1, ahead) + runs
    for now in (ahead, NOW):
        await run_history.prune(database, await run_history.beginning(database, 4, now))
    assert await run_history.newest(database, "morning", 9) == runs
    assert [one.text for one in await notes.listed(database, ["x.y"], 5)] == ["old"]


async def say(
    database: OpsDatabase, check: str, kind: str, text: str, at: datetime, ended: datetime | None
) -> None:
    await database.write(
        statement("add_note", ids.new(), check, kind, text, "ada", at, ended),
    )


async def test_notes_around_a_run_are_shown_with_it(database: OpsDatabase) -> None:
    bad, good = "x.bad", "x.good"
    at = NOW - timedelta(days=100)

    def day(number: float) -> datetime:
        return at + timedelta(days=number)

    for check in (bad, good):
        for kind, text, begin, end in (
            ("acknowledgement", "over before", -20, -10),
            ("acknowledgement", "held", -10, 5),
            ("note", "long ago", -8, None),
            ("note", "seen", -2, None),
            ("note", "the day after", 0.5, None),
            ("note", "of another time", 3, None),
        ):
            await say(database, check, kind, text, day(begin), None if end is None else day(end))
    found = await notes.with_notes(
        database,
        run("morning", result(bad, Verdict.WARNING), result(good, Verdict.OK), started_at=at),
    )
    said = {one.check: [note.text for note in one.notes] for one in found.results}
    assert said == {bad: ["held", "seen", "the day after"], good: ["seen", "the day after"]}


async def test_ended_records_are_pruned_by_age_and_open_ones_stay(database: OpsDatabase) -> None:
    check, now = "x.y", datetime.now(UTC)
    long_ago = now - timedelta(days=4000)
    await run_daily(database, 4, now)
    for kind, text, days in (
        ("acknowledgement", "holds", None),
        ("acknowledgement", "over", 1),
        ("acknowledgement", "over since yesterday", 3999),
        ("note", "old", None),
    ):
        ended = None if days is None else long_ago + timedelta(days=days)
        await say(database, check, kind, text, long_ago, ended)
    await notes.add(database, check, "note", "new", "ada")
    for name, end in (("goes on", None), ("over", long_ago), ("just over", now)):
        await database.write(statement("keep_alert", name, name, "P3", "{}", "", "", long_ago, end))
    await run_history.prune(database, await run_history.beginning(database, 3, now))
    kept = {one.text for one in await notes.listed(database, [check], 10)}
    assert kept == {"holds", "over since yesterday", "new"}
    alerts = await alert_history.alerts(database, is_active=None, limit=10)
    assert {one.name for one in alerts} == {"goes on", "just over"}


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
