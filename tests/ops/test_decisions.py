"""What operations decides before anything runs: names, notes, comparisons."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from chitlaq.core import ids
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.ops import routines
from chitlaq.ops.checks import registry
from chitlaq.ops.checks.model import Verdict
from chitlaq.ops.checks.runner import Run
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.history import notes, run_diff, run_history


@pytest.mark.parametrize(
    ("word", "said"), [("host", "several checks"), ("host.dsk", "Did you mean host.disk?")]
)
def test_note_needs_one_check(word: str, said: str) -> None:
    assert registry.one("host.disk").id == "host.disk"
    with pytest.raises(OperatorError) as refused:
        registry.one(word)
    assert said in str(refused.value)


def test_history_knows_routines_single_checks_and_benchmarks() -> None:
    for name in (*routines.ROUTINES, "check", "benchmark"):
        routines.require_recorded(name)
    with pytest.raises(OperatorError, match="Did you mean morning"):
        routines.require_recorded("mornin")


def test_routine_that_does_not_exist_has_no_checks() -> None:
    assert [one.id for one in routines.checks_of("midday")] == list(
        routines.ROUTINES["midday"].checks
    )
    with pytest.raises(OperatorError, match="There is no routine nightly"):
        routines.checks_of("nightly")


def test_every_watched_check_exists() -> None:
    assert [one.id for one in registry.select(routines.WATCHED)] == list(routines.WATCHED)


@pytest.mark.parametrize(
    ("verdict", "is_problem"),
    [
        (Verdict.OK, False),
        (Verdict.SKIPPED, False),
        (Verdict.WARNING, True),
        (Verdict.UNKNOWN, True),
        (Verdict.CRITICAL, True),
    ],
)
def test_results_other_than_ok_and_skipped_are_problems(verdict: Verdict, is_problem: bool) -> None:
    assert verdict.is_problem == is_problem


async def test_note_needs_a_readable_text(tmp_path: Path) -> None:
    with OpsDatabase(Home(tmp_path)) as database:
        for text in ("", "  ", "x" * 5001):
            with pytest.raises(OperatorError, match="between 1 and 5000"):
                await notes.add(database, "x.y", "note", text, "ada")
        await notes.add(database, "x.y", "note", " seen ", "ada")
        assert [one.text for one in await notes.listed(database, ["x.y"], 10)] == ["seen"]


async def test_comparison_needs_two_runs(tmp_path: Path) -> None:
    with OpsDatabase(Home(tmp_path)) as database:

        async def run() -> Run:
            made = Run(ids.new(), "morning", datetime.now(UTC), 0.1, Verdict.OK, "ada", "here", [])
            await run_history.store(database, made)
            return made

        with pytest.raises(OperatorError, match="0 recorded runs"):
            await run_diff.latest(database, "morning")
        first = await run()
        with pytest.raises(OperatorError, match="1 recorded run;"):
            await run_diff.latest(database, "morning")
        second = await run()
        found = await run_diff.latest(database, "morning")
        assert (found.before.id, found.after.id) == (first.id, second.id)
        assert found.changes == []
