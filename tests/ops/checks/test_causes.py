"""Causes before symptoms: what another problem explains is folded under it, wherever a run is shown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from chitlaq.cli import run_view
from chitlaq.core.errors import UnknownResult
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.ops import routines
from chitlaq.ops.checks import runner
from chitlaq.ops.checks.causes import Causes
from chitlaq.ops.checks.model import (
    WORST_FIRST,
    Check,
    CheckOutcome,
    Section,
    Verdict,
    check,
    outcome,
)
from chitlaq.ops.checks.registry import CHECKS
from chitlaq.ops.checks.runner import Run
from chitlaq.ops.checks.sources.system import SystemView
from chitlaq.ops.report import page, text
from tests.conftest import Stack
from tests.ops.checks.conftest import system_of

OK, WARNING, CRITICAL, UNKNOWN = Verdict.OK, Verdict.WARNING, Verdict.CRITICAL, Verdict.UNKNOWN


def declared(
    name: str, verdict: Verdict, stands_on: Sequence[str] = (), because: Sequence[str] = ()
) -> Check:
    @check(
        name,
        f"Title of {name}",
        section=Section.HOST,
        looks_at="nothing",
        commands=(),
        remedy=f"restart {name}",
        stands_on=stands_on,
    )
    async def judged(_system: SystemView) -> CheckOutcome:
        if verdict is UNKNOWN:
            raise UnknownResult("it is dark", *because)
        return outcome(f"{name} is {verdict}", least=verdict, because=because)

    return judged


async def ran(tmp_path: Path, *checks: Check) -> Run:
    system = SystemView(Home(tmp_path), Settings())
    try:
        return await runner.run(system, "some", checks, "a test")
    finally:
        await system.close()


CASES = {
    "a chain ends at its root": (
        [
            declared("a", CRITICAL),
            declared("b", CRITICAL, ["a"]),
            declared("c", WARNING, ["z", "b"]),
        ],
        {"b": "a", "c": "a"},
    ),
    "what is well explains nothing": ([declared("a", OK), declared("b", CRITICAL, ["a"])], {}),
    "a warning explains no outage": ([declared("a", WARNING), declared("b", CRITICAL, ["a"])], {}),
    "unless the outage itself names it": (
        [declared("a", WARNING), declared("b", CRITICAL, ["x"], because=["a"])],
        {"b": "a"},
    ),
    "everything bad must be explained": (
        [
            declared("a", CRITICAL),
            declared("b", OK),
            declared("all", CRITICAL, ["a"], because=["a", "b"]),
        ],
        {},
    ),
    "what is named looks well, and stands on what does not": (
        [
            declared("disk", CRITICAL),
            declared("database", OK, ["disk"]),
            declared("feed", CRITICAL, because=["database"]),
        ],
        {"feed": "disk"},
    ),
    "unless that is less bad": (
        [
            declared("disk", WARNING),
            declared("database", OK, ["disk"]),
            declared("feed", CRITICAL, because=["database"]),
        ],
        {},
    ),
    "who is the judge of its own source": (
        [declared("disk", CRITICAL), declared("feed", CRITICAL, ["disk"], because=["feed"])],
        {"feed": "disk"},
    ),
    "a source that cannot be read": (
        [declared("a", CRITICAL), declared("b", UNKNOWN, because=["a"])],
        {"b": "a"},
    ),
    "what was not looked at explains nothing": ([declared("b", CRITICAL, ["a"])], {}),
}


def explained_by(name: str, **others: tuple[CheckOutcome, Sequence[str]]) -> str:
    """Return what explains a check, by the outcomes of all, and what each stands on."""
    checks = {one: declared(one, OK, below) for one, (_, below) in others.items()}
    return Causes(checks, {one: found for one, (found, _) in others.items()}).of(name)


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize("effect", Verdict)
@pytest.mark.parametrize("cause", Verdict)
def test_cause_is_as_bad_as_its_effect_unless_that_saw_nothing(
    cause: Verdict, effect: Verdict, *, is_late: bool
) -> None:
    """For each pair of verdicts, and each way in which one check leads to another."""
    bad = CheckOutcome(cause, "")
    is_one = cause.is_problem and effect.is_problem
    saw_nothing = effect is UNKNOWN or is_late
    is_as_bad = is_one and (saw_nothing or WORST_FIRST.index(cause) <= WORST_FIRST.index(effect))
    seen, names_cause, names_well, names_both = (
        CheckOutcome(effect, "", because=because, is_late=is_late)
        for because in ((), ("cause",), ("well",), ("cause", "well"))
    )
    well = CheckOutcome(OK, "")
    found = {
        "stands on it": explained_by("effect", effect=(seen, ["cause"]), cause=(bad, [])),
        "names it": explained_by("effect", effect=(names_cause, []), cause=(bad, [])),
        "names what stands on it": explained_by(
            "effect", effect=(names_well, []), well=(well, ["cause"]), cause=(bad, [])
        ),
        "names what is well, and stands on it": explained_by(
            "effect", effect=(names_well, ["cause"]), well=(well, []), cause=(bad, [])
        ),
        "names it, and what is well": explained_by(
            "effect", effect=(names_both, ["cause"]), well=(well, []), cause=(bad, [])
        ),
    }
    assert {way: bool(one) for way, one in found.items()} == {
        "stands on it": is_as_bad,
        # Whoever looked knows better than a rank.
        "names it": is_one,
        "names what stands on it": is_as_bad,
        "names what is well, and stands on it": is_one and saw_nothing,
        "names it, and what is well": is_one and saw_nothing,
    }
    assert set(found.values()) <= {"", "cause"}


@pytest.mark.parametrize("case", CASES)
async def test_problem_is_explained_by_what_it_stands_on(tmp_path: Path, case: str) -> None:
    checks, wanted = CASES[case]
    done = await ran(tmp_path, *checks)
    assert {one.check: one.explained_by for one in done.results if one.explained_by} == wanted
    for one in done.results:
        if one.explained_by:
            assert one.remedy == f"Mend {one.explained_by} first, which explains it."
    bad = [one for one in done.results if one.verdict.is_problem]
    assert bad[0].explained_by == "", "the cause is first"


async def test_cause_is_as_bad_as_what_it_causes(tmp_path: Path) -> None:
    done = await ran(
        tmp_path, declared("b", CRITICAL, because=["a"]), declared("a", WARNING), declared("c", OK)
    )
    assert [(one.check, one.verdict) for one in done.results] == [
        ("a", CRITICAL),
        ("b", CRITICAL),
        ("c", OK),
    ]


async def test_every_view_folds_effects_under_their_cause(tmp_path: Path) -> None:
    effects = [declared(f"effect{number}", CRITICAL, ["a"]) for number in range(3)]
    done = await ran(tmp_path, *effects, declared("a", CRITICAL), declared("c", OK))
    console = Console(width=200, record=True, file=(tmp_path / "out").open("w"))
    console.print(run_view.rendered(done, {}, details=False))
    console.print(run_view.fitting(done, console, 20))
    report = page.build(done, None, Settings())
    views = {
        "terminal": console.export_text(),
        "markdown": text.markdown(done),
        "nagios": text.nagios(done),
        "report": page.markdown(report),
        "page": page.html(report),
    }
    for name, shown in views.items():
        assert "explains 3 more: effect0, effect1, effect2" in shown, name
        assert "1 critical, 3 more explained by it, 1 ok" in shown, name
        assert "restart effect" not in shown, name
        assert "which explains it" not in shown, name
    assert "restart a" in views["terminal"]


def test_what_checks_stand_on_exists_is_no_circle_and_is_in_their_routines() -> None:
    def grounds(name: str, above: tuple[str, ...] = ()) -> set[str]:
        assert name not in above, f"a circle: {above}"
        found = set(CHECKS[name].stands_on)
        return found.union(*(grounds(one, (*above, name)) for one in found))

    for routine in routines.ROUTINES.values():
        assert len(set(routine.checks)) == len(routine.checks), routine.name
        for one in routine.checks:
            assert grounds(one) <= set(routine.checks), (routine.name, one)
    for name in CHECKS:
        grounds(name)


SOURCES = {
    "POSTGRES": "database.ready",
    "REDIS": "redis.ready",
    "PROMETHEUS": "services.targets",
    "FEED": "feed.health",
}


@pytest.mark.parametrize("source", SOURCES)
async def test_whoever_cannot_read_a_source_is_explained_by_the_check_of_the_source(
    stack: Stack, nobody: str, source: str
) -> None:
    """For every check of every routine: none is a problem of its own because its source is gone."""
    elsewhere = {
        "REDIS": {"REDIS_URL": f"redis://127.0.0.1:{nobody}"},
        "PROMETHEUS": {"PROMETHEUS_URL": f"http://127.0.0.1:{nobody}"},
    }
    system = system_of(stack, **elsewhere.get(source, {f"CHITLAQ_PORTS_{source}": nobody}))
    names = dict.fromkeys(name for one in routines.ROUTINES.values() for name in one.checks)
    quick = [CHECKS[name] for name in names if not CHECKS[name].is_heavy]
    try:
        done = await runner.run(system, "all", quick, "a test")
    finally:
        await system.close()
    found = {one.check: one for one in done.results}
    root = found[SOURCES[source]]
    assert root.verdict.is_problem
    assert root.explained_by == ""
    alone = [
        (one.check, one.summary)
        for one in done.problems
        if nobody in json.dumps(one.summary) and one is not root
    ]
    assert not alone
    assert done.effects(root)
