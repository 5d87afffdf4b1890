"""`chitlaq ops` as an operator uses it, on a good day and in a disaster."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from chitlaq.ops.routines import ROUTINES
from tests.conftest import Stack, eventually, start_stack, stop_stack


def verdicts(run: dict[str, Any]) -> dict[str, str]:
    return {result["check"]: result["verdict"] for result in run["results"]}


def test_run_is_as_the_design_says_and_is_in_the_history(stack: Stack) -> None:
    run = stack.json("ops", "morning", "--as", "ada")
    assert {"routine", "started_at", "duration_seconds", "verdict", "results"} <= run.keys()
    assert (run["routine"], run["started_by"]) == ("morning", "ada")
    for result in run["results"]:
        assert result.keys() == {
            "check", "title", "section", "verdict", "summary", "values", "evidence", "remedy",
            "duration_seconds",
        }  # fmt: skip
    assert sorted(verdicts(run)) == sorted(ROUTINES["morning"].checks)
    order = ["CRITICAL", "UNKNOWN", "WARNING", "OK", "SKIPPED"]
    places = [order.index(result["verdict"]) for result in run["results"]]
    assert places == sorted(places), "worst first"
    assert run["verdict"] == order[places[0]]
    for name in ("database.ready", "redis.ready", "feed.home", "search.users", "websocket.ping"):
        assert verdicts(run)[name] in {"OK", "WARNING"}, run["results"]
    shown = stack.json("ops", "show", run["id"][:20])
    assert shown["id"] == run["id"]
    assert verdicts(shown) == verdicts(run)
    assert any(one["id"] == run["id"] for one in stack.json("ops", "history", "morning"))


@pytest.mark.parametrize(
    ("check", "settings", "code", "nagios"),
    [
        ("redis.memory", {}, 0, 0),
        ("database.size", {"CHITLAQ_CHECKS_DATABASE_SIZE_BYTES": "1,1e15"}, 3, 1),
        ("database.size", {"CHITLAQ_CHECKS_DATABASE_SIZE_BYTES": "1,2"}, 3, 2),
        ("alerts.active", {}, 3, 3),
        ("host.reachability", {}, 0, 0),
    ],
)
def test_exit_code_says_how_it_is(
    stack: Stack, check: str, settings: dict[str, str], code: int, nagios: int
) -> None:
    assert stack.command("ops", "check", check, env=settings).returncode == code
    plugin = stack.command("ops", "check", check, "--nagios", env=settings)
    assert plugin.returncode == nagios
    assert plugin.stdout.startswith("CHITLAQ ")


def test_details_show_evidence_and_the_same_by_hand(stack: Stack) -> None:
    said = stack.command("ops", "check", "database.connections", "--details").stdout
    assert "application" in said
    assert "chitlaq exec postgres psql" in said
    page = stack.command("ops", "check", "database", "--markdown").stdout
    assert "| OK | `database.ready` |" in page


def test_wrong_words_are_answered_with_the_nearest_right_ones(stack: Stack) -> None:
    answer = stack.command("ops", "check", "databse.conections")
    assert answer.returncode == 1
    assert "Did you mean database.connections?" in answer.stderr
    assert "There is no routine" in stack.command("ops", "diff", "nightly").stderr
    assert "There is no run" in stack.command("ops", "show", "zzz").stderr
    assert stack.command("ops", "check", "redis", "--json", "--nagios").returncode == 2


def test_what_changed_is_shown(stack: Stack) -> None:
    bad = {"CHITLAQ_CHECKS_DATABASE_SIZE_BYTES": "1,2"}
    stack.command("ops", "monthly", "--json")
    stack.command("ops", "monthly", "--json", env=bad)
    changed = {one["check"]: one for one in stack.json("ops", "diff", "monthly")["changes"]}
    assert (changed["database.size"]["before"], changed["database.size"]["after"]) == (
        "OK",
        "CRITICAL",
    )


def test_fault_that_is_acknowledged_is_shown_with_the_words(stack: Stack) -> None:
    words = f"known since {secrets.token_hex(4)}"
    assert stack.command("ops", "ack", "backup.database", words, "--as", "ada").returncode == 0
    said = stack.command("ops", "check", "backup.database").stdout
    assert "CRITICAL" in said
    assert f"acknowledged by ada: {words}" in " ".join(said.split())
    assert stack.json("ops", "notes", "backup.database")[0]["text"] == words


async def test_two_operators_and_the_scheduler_at_once_do_not_disturb_each_other(
    stack: Stack,
) -> None:
    names = [f"operator-{secrets.token_hex(3)}" for _ in range(3)]
    answers = await asyncio.gather(
        *(asyncio.to_thread(stack.json, "ops", "midday", "--as", name) for name in names)
    )
    assert len({answer["id"] for answer in answers}) == 3
    kept = {one["started_by"] for one in stack.json("ops", "history", "midday")}
    assert set(names) <= kept


async def test_watching_goes_on_until_it_is_interrupted(stack: Stack, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    with seen.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "chitlaq", "ops", "watch", "redis", "--every", "1"],
            env=stack.environment,
            stdout=file,
            stderr=file,
        )
    try:
        await eventually(lambda: seen.read_text().count("redis.ready") >= 2)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
    assert "Traceback" not in seen.read_text()


@pytest.fixture(scope="module")
def doomed() -> Iterator[Stack]:
    """A stack of its own, with observers that are set and away."""
    stack = start_stack(PROMETHEUS_URL="http://127.0.0.1:9", ALERTMANAGER_URL="http://127.0.0.1:9")
    try:
        answer = stack.command("up", "--detach")
        assert answer.returncode == 0, answer.stderr
        yield stack
    finally:
        stop_stack(stack)


def family(pid: int) -> list[int]:
    parent = psutil.Process(pid)
    return [pid, *(child.pid for child in parent.children(recursive=True))]


async def test_disaster_is_told_in_time_cause_first_and_never_green(doomed: Stack) -> None:
    """PostgreSQL and Valkey hang, Prometheus and Alertmanager are away, and no file can be written."""
    rows = doomed.ps()
    stopped = [*family(rows["postgres"]["pid"]), *family(rows["redis"]["pid"])]
    (doomed.home / "ops").mkdir(exist_ok=True)
    # A file where the folder should be: for root, too, nothing can be written there.
    (doomed.home / "ops" / "waiting").write_text("in the way")
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        answer = await asyncio.to_thread(doomed.command, "ops", "morning")
        seconds = time.monotonic() - started
        (doomed.home / "ops" / "waiting").unlink()
        kept = await asyncio.to_thread(doomed.command, "ops", "midday", "--json")
    finally:
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    assert seconds < 15
    assert answer.returncode == 3
    assert "Traceback" not in answer.stderr
    assert "not recorded" in answer.stdout
    lines = [line for line in answer.stdout.splitlines() if line.strip()]
    assert lines[0].startswith("CRITICAL")
    assert lines[1].startswith("CRITICAL database.ready"), "the cause before its effects"
    green = {line.split()[1] for line in lines if line.startswith("OK")}
    blind = ("database.", "redis.", "feed.home", "search.users", "alerts.", "services.targets")
    assert not {name for name in green if name.startswith(blind) and not name.endswith(".log")}
    run = json.loads(kept.stdout)
    assert "recorded in a file" in kept.stderr
    seen = verdicts(run)
    assert {seen[name] for name in seen if name.startswith("api.")} == {"UNKNOWN"}

    def is_stored() -> bool:
        return any(one["id"] == run["id"] for one in doomed.json("ops", "history", "midday"))

    await eventually(lambda: asyncio.to_thread(is_stored), seconds=60)


def test_without_a_stack_everything_is_unknown_or_critical_and_nothing_fails(
    doomed: Stack,
) -> None:
    (doomed.home / "other").mkdir(exist_ok=True)
    answer = doomed.command("ops", "midday", env={"CHITLAQ_HOME": str(doomed.home / "other")})
    assert answer.returncode in {1, 3}
    assert "Traceback" not in answer.stderr
