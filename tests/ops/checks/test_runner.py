"""Whatever a check does, it and all others have a verdict in time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from chitlaq import inventory
from chitlaq.core.errors import NotApplicable, UnknownResult
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.ops.checks import runner
from chitlaq.ops.checks.model import (
    WORST_FIRST,
    Check,
    CheckOutcome,
    Judge,
    Section,
    Value,
    Verdict,
    check,
    outcome,
    worst,
)
from chitlaq.ops.checks.registry import CHECKS
from chitlaq.ops.checks.runner import Result, judge, run
from chitlaq.ops.checks.sources.system import SystemView
from tests.conftest import eventually

SECONDS = 0.2
SLEEP = "86399.25"
"""A sleep that nobody else of this machine sleeps."""


enough = asyncio.Event()
"""Set when a test is over: what would not end may end."""


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[SystemView]:
    enough.clear()
    system = SystemView(Home(tmp_path), Settings())
    yield system
    await system.close()
    enough.set()


def declared(name: str, seconds: float = SECONDS) -> Callable[[Judge], Check]:
    return check(
        f"test.{name}",
        name,
        section=Section.HOST,
        looks_at="nothing",
        commands=(),
        remedy="none is needed",
        timeout_seconds=seconds,
    )


@declared("well")
async def well(_system: SystemView) -> CheckOutcome:
    return outcome("as it should be", {"things": Value(1)})


@declared("fails")
async def fails(_system: SystemView) -> CheckOutcome:
    raise ZeroDivisionError("a fault of its own")


@declared("gives_up")
async def gives_up(_system: SystemView) -> CheckOutcome:
    raise asyncio.CancelledError


@declared("unseen")
async def unseen(_system: SystemView) -> CheckOutcome:
    raise UnknownResult("it is dark")


@declared("not_here")
async def not_here(_system: SystemView) -> CheckOutcome:
    raise NotApplicable("the package lamp brings it")


@declared("waits")
async def waits(_system: SystemView) -> CheckOutcome:
    await asyncio.Event().wait()
    return outcome("never said")


@declared("insists")
async def insists(_system: SystemView) -> CheckOutcome:
    while not enough.is_set():
        with suppress(asyncio.CancelledError):
            await enough.wait()
    return outcome("too late")


@declared("blocks")
async def blocks(system: SystemView) -> CheckOutcome:
    """Like a dead file system."""
    await system.blocking(lambda: threading.Event().wait(10 * SECONDS))
    return outcome("too late")


@declared("sleeps")
async def sleeps(system: SystemView) -> CheckOutcome:
    return outcome(await system.run("sleep", SLEEP, package="coreutils"))


@declared("misuses", seconds=30)
async def misuses(system: SystemView) -> CheckOutcome:
    return outcome(await system.run("sleep", "no time", package="coreutils"))


@declared("misses")
async def misses(system: SystemView) -> CheckOutcome:
    return outcome(await system.run("chitlaq-lamp", package="lamp"))


@pytest.mark.parametrize(
    ("one", "verdict", "said"),
    [
        (well, Verdict.OK, "as it should be"),
        (fails, Verdict.UNKNOWN, "the check itself failed: ZeroDivisionError: a fault of its own"),
        (gives_up, Verdict.UNKNOWN, "the check itself failed: CancelledError"),
        (unseen, Verdict.UNKNOWN, "it is dark"),
        (not_here, Verdict.SKIPPED, "the package lamp brings it"),
        (waits, Verdict.UNKNOWN, "timed out after 0.2 s"),
        (insists, Verdict.UNKNOWN, "timed out after 0.2 s"),
        (blocks, Verdict.UNKNOWN, "timed out after 0.2 s"),
        (misuses, Verdict.UNKNOWN, "sleep failed: "),
        (misses, Verdict.SKIPPED, "chitlaq-lamp is not installed: it is in the package lamp"),
    ],
    ids=lambda value: value.id if isinstance(value, Check) else "",
)
async def test_every_outcome_of_a_check_is_a_verdict(
    system: SystemView, one: Check, verdict: Verdict, said: str
) -> None:
    result = await judge(one, system)
    assert (result.verdict, result.check) == (verdict, one.id)
    assert result.summary.startswith(said)


async def test_a_check_that_fails_or_hangs_stops_no_other(system: SystemView) -> None:
    heard: list[Result] = []
    checks = [fails, waits, insists, blocks, unseen, not_here, well]
    done = await run(system, "some", checks, "a test", lambda one, *_: heard.append(one))
    assert {one.check for one in done.results} == {one.id for one in checks}
    assert sorted(one.check for one in heard) == sorted(one.id for one in checks)
    assert heard[-1].verdict is Verdict.UNKNOWN, "those that hang are heard of last"
    assert done.verdict is Verdict.UNKNOWN
    assert done.results[-2:] == [
        next(one for one in done.results if one.check == "test.well"),
        next(one for one in done.results if one.check == "test.not_here"),
    ], "worst first"
    assert not enough.is_set(), "nobody waited for what does not want to end"


async def test_program_of_an_abandoned_check_is_stopped(system: SystemView) -> None:
    result = await judge(sleeps, system)
    assert result.summary == "timed out after 0.2 s"

    def is_gone() -> bool:
        commands = [one.as_dict(["cmdline"])["cmdline"] for one in psutil.Process().children()]
        return not any(command and command[-1] == SLEEP for command in commands)

    await eventually(is_gone)


async def test_shared_query_runs_once_and_survives_a_cancelled_caller(system: SystemView) -> None:
    asked = 0
    may_answer = asyncio.Event()

    async def ask() -> str:
        nonlocal asked
        asked += 1
        await may_answer.wait()
        return "answer"

    @declared("impatient")
    async def impatient(system: SystemView) -> CheckOutcome:
        return outcome(await system.once("it", ask))

    assert (await judge(impatient, system)).verdict is Verdict.UNKNOWN
    may_answer.set()
    results = await asyncio.gather(judge(impatient, system), judge(impatient, system))
    assert {result.summary for result in results} == {"answer"}
    assert asked == 1


@pytest.mark.parametrize("verdict", Verdict)
def test_outcome_is_at_least_as_bad_as_its_values(verdict: Verdict) -> None:
    said = outcome(
        "it", {"high": Value(3, "", 2, 4), "low": Value(0.9, "", 0.5, 0.1)}, least=verdict
    )
    assert said.verdict is worst((verdict, Verdict.WARNING))


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (Value(1), Verdict.OK),
        (Value(1.9, "", 2, 4), Verdict.OK),
        (Value(2, "", 2, 4), Verdict.WARNING),
        (Value(4, "", 2, 4), Verdict.CRITICAL),
        (Value(0.51, "", 0.5, 0.1), Verdict.OK),
        (Value(0.5, "", 0.5, 0.1), Verdict.WARNING),
        (Value(0.1, "", 0.5, 0.1), Verdict.CRITICAL),
    ],
)
def test_value_at_its_threshold_exceeds_it(value: Value, verdict: Verdict) -> None:
    assert value.verdict is verdict


def test_unknown_is_worse_than_warning_and_no_results_are_skipped() -> None:
    assert worst(reversed(WORST_FIRST)) is Verdict.CRITICAL
    assert worst([Verdict.OK, Verdict.WARNING, Verdict.UNKNOWN]) is Verdict.UNKNOWN
    assert worst([Verdict.SKIPPED, Verdict.OK]) is Verdict.OK
    assert worst([]) is Verdict.SKIPPED


async def test_what_measures_time_is_alone_and_delays_no_other_for_long(
    system: SystemView, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dozens of checks in one process: a server of 1 ms does not seem to take as long as all of them."""
    order: list[str] = []

    def named(name: str, work: float, *, is_timed: bool = False, is_heavy: bool = False) -> Check:
        async def look(_system: SystemView) -> CheckOutcome:
            order.append(f"{name} begins")
            await asyncio.sleep(work)
            order.append(f"{name} ends")
            return outcome(name)

        plain = declared(name, 30.0)(look)
        return replace(plain, is_timed=is_timed, is_heavy=is_heavy)

    quick = [named(f"quick{n}", 0.001, is_timed=True) for n in range(3)]
    busy = [named("heavy", 0, is_heavy=True), *(named(f"busy{n}", 0.001) for n in range(3))]
    await run(system, "all", [*busy, *quick], "a test")
    alone = [f"quick{n} {done}" for n in range(3) for done in ("begins", "ends")]
    assert order[:6] == alone
    assert order[-2:] == ["heavy begins", "heavy ends"]
    # What hangs holds up nobody: once the time is over, all begin.
    monkeypatch.setattr(runner, "QUIET_SECONDS", 0.05)
    order.clear()
    hanging = named("hanging", 2.0, is_timed=True)
    await run(system, "all", [hanging, *busy, *quick], "a test")
    assert order.index("heavy ends") > order.index("hanging ends")
    assert max(order.index(f"{one} ends") for one in ("quick2", "busy2")) < order.index(
        "hanging ends"
    )


def test_every_check_that_measures_time_says_so() -> None:
    timed = {one.id for one in CHECKS.values() if one.is_timed}
    healths = {f"{row.setting}.health" for row in inventory.SERVICES}
    assert timed == healths | {
        "gateway.api", "feed.home", "search.users", "auth.status", "websocket.ping", "websocket.round_trip",
        "feed.round_trip",
        "database.ready", "redis.ready", "host.reachability", "host.disk_sync", "mail.server",
    }  # fmt: skip
