"""A first morning: what has not had its time yet says so, and is red when the time is over."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from chitlaq.core.errors import NotYet, UnknownResult
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import ensure
from chitlaq.core.installation.settings_loading import load
from chitlaq.ops.checks.model import Verdict
from chitlaq.ops.checks.sources.system import SystemView
from chitlaq.stack.supervisor.control import State, Status
from tests.conftest import free_ports
from tests.ops.checks.run_check import run_check


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.secrets.mkdir(parents=True)
    (home.secrets / "edge-key").touch()
    return home


def aged(home: Home, seconds: float) -> None:
    then = time.time() - seconds
    for file in home.secrets.iterdir():
        os.utime(file, (then, then))


@pytest.mark.parametrize(
    ("check", "said", "after"),
    [
        ("backup.database", "one minute after the first start", Verdict.CRITICAL),
        ("backup.configuration", "one minute after the first start", Verdict.CRITICAL),
        ("statuspage.fresh", "within a minute of the first start", Verdict.CRITICAL),
    ],
)
async def test_what_has_not_had_its_time_says_when_it_has(
    home: Home, check: str, said: str, after: Verdict
) -> None:
    found = await run_check(home, check)
    assert found.verdict is Verdict.SKIPPED
    assert said in found.summary
    aged(home, 1000)
    assert (await run_check(home, check)).verdict is after


async def test_unscheduled_backup_is_missing_at_once(home: Home) -> None:
    found = await run_check(home, "backup.database", CHITLAQ_OPERATIONS_SCHEDULED="false")
    assert found.verdict is Verdict.CRITICAL


async def test_prometheus_without_samples_has_just_begun_or_is_blind(home: Home) -> None:
    (port,) = free_ports(1)
    system = SystemView(home, load(home, {"CHITLAQ_PORTS_PROMETHEUS": str(port)}))
    try:
        with pytest.raises(NotYet, match="has just begun"):
            await system._require_time("prometheus", has_answered=True)
        # Nothing starts it: there is no supervisor.
        await system._require_time("prometheus", has_answered=False)
        with pytest.raises(UnknownResult):
            await system.prometheus.query("up")
        aged(home, 1000)
        await system._require_time("prometheus", has_answered=True)
    finally:
        await system.close()


async def test_observer_that_is_being_fetched_is_no_fault_yet(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For every check that reads one; when the time is over, it is UNKNOWN."""
    (port,) = free_ports(1)
    ensure(home)
    missing = Status("prometheus", 0, "missing", None, 0, 0, None, "not fetched", is_needed=False)
    monkeypatch.setattr("chitlaq.stack.supervisor.control.ask", lambda *_: [missing])
    for name in ("services.targets", "api.throughput"):
        aged(home, 0)
        found = await run_check(home, name, CHITLAQ_PORTS_PROMETHEUS=str(port))
        assert (found.verdict, "for the first time" in found.summary) == (Verdict.SKIPPED, True)
        aged(home, 1000)
        found = await run_check(home, name, CHITLAQ_PORTS_PROMETHEUS=str(port))
        assert found.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("state", ["waiting", "starting"])
async def test_first_start_of_an_observer_is_no_fault_and_a_later_one_is(
    home: Home, monkeypatch: pytest.MonkeyPatch, state: State
) -> None:
    def process(name: str, state: State, restarts: int = 0, *, is_needed: bool = True) -> Status:
        return Status(name, 0, state, 7, restarts, 5, None, "", is_needed)

    async def said(*statuses: Status) -> tuple[Verdict, str]:
        monkeypatch.setattr("chitlaq.stack.supervisor.control.ask", lambda *_: list(statuses))
        found = await run_check(home, "services.processes")
        return found.verdict, found.summary

    well = process("feed-service", "healthy")
    observer = process("prometheus", state, is_needed=False)
    assert await said(well, observer) == (
        Verdict.OK, "started for the first time: prometheus; the other 1 are up"
    )  # fmt: skip
    faults = (
        (process("feed-service", state), Verdict.CRITICAL),
        (process("prometheus", state, restarts=1, is_needed=False), Verdict.WARNING),
        (process("prometheus", "unresponsive", is_needed=False), Verdict.WARNING),
    )
    for fault, verdict in faults:
        assert (await said(well, observer, fault))[0] is verdict
    aged(home, 1000)
    assert await said(well, observer) == (Verdict.WARNING, f"prometheus is {state}")


async def test_machine_that_was_booted_for_the_installation_has_lost_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psutil.boot_time", lambda: time.time() - 600)
    assert (await run_check(home, "host.uptime")).verdict is Verdict.OK
    aged(home, 1000)
    assert (await run_check(home, "host.uptime")).verdict is Verdict.WARNING
