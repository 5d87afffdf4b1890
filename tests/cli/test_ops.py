"""`chitlaq ops` as an operator uses it, on a good day and in a disaster."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import secrets
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from chitlaq.cli.ops import checks
from chitlaq.core.installation.home import Home
from chitlaq.ops.routines import ROUTINES
from chitlaq.ops.schedule import scheduler
from tests.conftest import Stack, eventually, start_stack, stop_stack


def verdicts(run: dict[str, Any]) -> dict[str, str]:
    return {result["check"]: result["verdict"] for result in run["results"]}


def test_run_has_the_documented_form_and_is_recorded(stack: Stack) -> None:
    run = stack.json("ops", "morning", "--as", "ada")
    assert {"routine", "started_at", "duration_seconds", "verdict", "results"} <= run.keys()
    assert (run["routine"], run["started_by"]) == ("morning", "ada")
    for result in run["results"]:
        assert result.keys() == {
            "check", "title", "section", "verdict", "summary", "values", "evidence", "remedy",
            "duration_seconds", "notes", "explained_by",
        }  # fmt: skip
    assert sorted(verdicts(run)) == sorted(ROUTINES["morning"].checks)
    order = ["CRITICAL", "UNKNOWN", "WARNING", "OK", "SKIPPED"]
    places = [order.index(result["verdict"]) for result in run["results"]]
    assert places == sorted(places), "worst first"
    assert run["verdict"] == order[places[0]]
    for name in ("database.ready", "redis.ready", "feed.home", "websocket.ping"):
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
def test_exit_code_reports_the_verdict(
    stack: Stack, check: str, settings: dict[str, str], code: int, nagios: int
) -> None:
    assert stack.command("ops", "check", check, env=settings).returncode == code
    plugin = stack.command("ops", "check", check, "--nagios", env=settings)
    assert plugin.returncode == nagios
    assert plugin.stdout.startswith("CHITLAQ ")


def test_details_show_evidence_and_shell_commands(stack: Stack) -> None:
    said = stack.command("ops", "check", "database.connections", "--details").stdout
    assert "application" in said
    assert "chitlaq exec postgres psql" in said
    page = stack.command("ops", "check", "database", "--markdown").stdout
    assert "| OK | `database.ready` |" in page


def test_typing_errors_suggest_the_nearest_name(stack: Stack) -> None:
    answer = stack.command("ops", "check", "databse.conections")
    assert answer.returncode == 1
    assert "Did you mean database.connections?" in answer.stderr
    assert "There is no routine" in stack.command("ops", "diff", "nightly").stderr
    assert "There is no run" in stack.command("ops", "show", "zzz").stderr
    assert stack.command("ops", "check", "redis", "--json", "--markdown").returncode == 2
    answer = stack.command("ops", "history", "mornin")
    assert answer.returncode == 1
    assert "Did you mean morning?" in answer.stderr
    assert stack.command("ops", "history", "check", "--limit", "1").returncode == 0
    answer = stack.command("ops", "notes", "hst.disk")
    assert answer.returncode == 1
    assert "Did you mean host.disk?" in answer.stderr


@pytest.mark.parametrize(
    ("words", "settings", "reason"),
    [
        (["check", "host.dsk", "--nagios"], {}, "Did you mean host.disk?"),
        # Where a stack runs, its settings would be used instead.
        (
            ["morning", "--nagios"],
            {"CHITLAQ_HOME": "/tmp/chitlaq-nobody", "CHITLAQ_CHECKS_DISK_USED_RATIO": "much"},
            "disk_used_ratio",
        ),
        (["midday", "--nagios"], {"CHITLAQ_HOME": "/tmp/" + "x" * 90}, "choose a shorter path"),
        (["check", "redis", "--json", "--nagios"], {}, "not valid"),
        (["check", "--nagios"], {}, "not valid"),
        (["check", "redis", "--nagios", "--detials"], {}, "not valid"),
    ],
)
def test_plugin_that_cannot_measure_exits_unknown(
    stack: Stack, words: list[str], settings: dict[str, str], reason: str
) -> None:
    """In Nagios, 1 is a warning and 2 is critical; this error is neither."""
    answer = stack.command("ops", *words, env=settings)
    assert answer.returncode == 3
    (line,) = answer.stdout.splitlines()
    assert line.startswith("CHITLAQ UNKNOWN - ")
    assert reason in line
    assert "|" not in line


def test_diff_shows_what_changed(stack: Stack) -> None:
    bad = {"CHITLAQ_CHECKS_CONNECTIONS_RATIO": "0,0"}
    stack.command("ops", "midday", "--json")
    stack.command("ops", "midday", "--json", env=bad)
    changed = {one["check"]: one for one in stack.json("ops", "diff", "midday")["changes"]}
    assert (
        changed["database.connections"]["before"],
        changed["database.connections"]["after"],
    ) == (
        "OK",
        "CRITICAL",
    )


def test_operators_notes_are_shown_with_the_result_everywhere(stack: Stack) -> None:
    known, seen = (f"{word} {secrets.token_hex(4)}" for word in ("known since", "ordered two"))
    assert stack.command("ops", "ack", "backup.database", known, "--as", "ada").returncode == 0
    assert stack.command("ops", "note", "backup.database", seen, "--as", "grace").returncode == 0
    said = " ".join(stack.command("ops", "check", "backup.database").stdout.split())
    assert "CRITICAL" in said
    assert f"acknowledged by ada: {known}" in said
    assert f"noted by grace: {seen}" in said
    run = stack.json("ops", "check", "backup.database")
    (result,) = run["results"]
    assert [(one["operator"], one["text"]) for one in result["notes"][-2:]] == [
        ("ada", known),
        ("grace", seen),
    ]
    page = stack.command("ops", "check", "backup.database", "--markdown").stdout
    (row,) = [line for line in page.splitlines() if line.startswith("| CRITICAL")]
    for words in (known, seen):
        assert words in row
        assert words in page.replace(row, "")
    later = f"after it {secrets.token_hex(4)}"
    stack.command("ops", "note", "backup.database", later)
    for form in ((), ("--markdown",), ("--json",)):
        shown = " ".join(stack.command("ops", "show", run["id"], *form).stdout.split())
        for text in (known, seen, later):
            assert text in shown, form
    assert stack.json("ops", "notes", "backup")[0]["text"] == later


async def test_concurrent_runs_do_not_disturb_each_other(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in stack.environment.items():
        monkeypatch.setenv(variable, value)
    names = [f"operator-{secrets.token_hex(3)}" for _ in range(2)]
    before = {one["id"] for one in stack.json("ops", "history", "midday", "--limit", "100")}
    *answers, ended = await asyncio.gather(
        *(asyncio.to_thread(stack.json, "ops", "midday", "--as", name) for name in names),
        scheduler.run_process(Home(stack.home), "midday"),
    )
    assert ended
    assert len({answer["id"] for answer in answers}) == 2
    kept = [
        one["started_by"]
        for one in stack.json("ops", "history", "midday", "--limit", "100")
        if one["id"] not in before
    ]
    assert sorted(kept) == sorted([*names, scheduler.SCHEDULER])


async def test_hostile_log_line_breaks_neither_screen_nor_database(stack: Stack) -> None:
    line = {"level": "error", "event": "evil", "timestamp": datetime.now(UTC).isoformat()}
    text = json.dumps(line | {"error": "NUL \0 and \x1b[2J escape"})
    with (stack.home / "logs" / "search-service.log").open("a") as file:
        file.write(text + "\n")
    answer = stack.command("ops", "check", "search.log", "--details")
    assert "Traceback" not in answer.stderr
    assert "recorded in a file" not in answer.stdout
    assert "evil" in answer.stdout
    assert "\x1b[2J" not in answer.stdout
    assert "\0" not in answer.stdout


def run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


async def test_unresolvable_names_delay_no_run(stack: Stack, tmp_path: Path) -> None:
    """A name server that never answers, with look-ups that would wait for minutes."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root may give a command other name servers")
    (tmp_path / "resolv.conf").write_text("nameserver 127.9.9.9\noptions timeout:30 attempts:5\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.9.9.9", 53))
        started = time.monotonic()
        answer = await asyncio.to_thread(
            run,
            [
                "unshare", "--mount", "sh", "-c",
                'mount --bind "$0" /etc/resolv.conf && exec "$@"', str(tmp_path / "resolv.conf"),
                sys.executable, "-m", "chitlaq", "ops", "check", "host.reachability",
            ],
            stack.environment | {"CHITLAQ_CHECKS_REACHABLE": "mail.example.edu:25"},
        )  # fmt: skip
    assert "cannot connect to mail.example.edu:25" in answer.stdout, answer.stderr
    assert time.monotonic() - started < 60


async def test_watch_runs_until_it_is_interrupted(stack: Stack, tmp_path: Path) -> None:
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


ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
HEIGHT, WIDTH = 24, 80


class Screen:
    """A program on a terminal of ordinary size."""

    def __init__(self, stack: Stack, *words: str, height: int = HEIGHT) -> None:
        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", height, WIDTH, 0, 0))
        environment = {**stack.environment, "TERM": "xterm"}
        # They would override the terminal's size.
        for name in ("LINES", "COLUMNS"):
            environment.pop(name, None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "chitlaq", *words],
            env=environment,
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self._ours = ours
        self._seen = b""

    def lines(self) -> list[str]:
        """The last complete screen; empty before there is one."""
        while select.select([self._ours], [], [], 0)[0]:
            try:
                self._seen += os.read(self._ours, 65536)
            except OSError:
                break
        # Each screen begins with the cursor at home.
        drawn = self._seen.decode(errors="replace").split("\x1b[H")
        whole = [ESCAPES.sub("", one) for one in drawn if "Ctrl-C ends" in one]
        return [line.rstrip() for line in whole[-1].split("\n")] if whole else []

    def end(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)
        os.close(self._ours)


WATCHED = (
    # The observers are down: none of these can be measured.
    "alerts.active", "api.latency", "api.throughput", "api.errors", "api.refusals",
    "websocket.connections",
    # These are OK, whatever else the machine is doing.
    "database.ready", "database.connections", "database.size", "database.locks", "redis.ready",
    "redis.memory", "redis.clients", "redis.stats", "services.processes", "gateway.metrics",
    "websocket.metrics", "feed.health",
)  # fmt: skip


@pytest.mark.parametrize("height", [HEIGHT, 12])
async def test_watch_fits_the_screen_and_counts_hidden_results(stack: Stack, height: int) -> None:
    words = f"looked at {secrets.token_hex(4)}"
    stack.command("ops", "note", "alerts.active", words)
    screen = Screen(stack, "ops", "watch", *WATCHED, "--every", "1", height=height)
    try:
        lines = await eventually(screen.lines)
    finally:
        screen.end()
    assert len(lines) <= height
    assert max(map(len, lines)) <= WIDTH
    assert "Ctrl-C ends" in [line for line in lines if line][-1]
    places = [line.split(" ")[0] for line in lines if re.match(r"[A-Z]{2,} ", line)][1:]
    order = ["CRITICAL", "UNKNOWN", "WARNING", "OK", "SKIPPED"]
    assert places == sorted(places, key=order.index)
    (left,) = [line for line in lines if "not shown" in line]
    found = re.match(r"(\d+) more not shown: (.+)", left)
    assert found
    assert int(found[1]) + len(places) == len(WATCHED)
    if height == HEIGHT:
        assert "unknown" not in found[2], "all that is not OK is there"
        assert any(words in line for line in lines)


@pytest.fixture(scope="module")
def doomed() -> Iterator[Stack]:
    """A separate stack, for root on its own small disk, with configured observers that are down."""
    stack = start_stack(PROMETHEUS_URL="http://127.0.0.1:9", ALERTMANAGER_URL="http://127.0.0.1:9")
    mounting = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600m,mode=755", "tmpfs", stack.home],
        capture_output=True,
        check=False,
    )
    try:
        stack.up()
        yield stack
    finally:
        stack.command("down")
        if mounting.returncode == 0:
            subprocess.run(["umount", "--lazy", stack.home], check=True)
        stop_stack(stack)


def family(pid: int) -> list[int]:
    parent = psutil.Process(pid)
    return [pid, *(child.pid for child in parent.children(recursive=True))]


async def stored(stack: Stack, routine: str, verdict: str) -> dict[str, Any]:
    """The newest run of a routine, once it is in the history."""

    def found() -> dict[str, Any] | None:
        runs = [one for one in stack.json("ops", "history", routine) if one["verdict"] == verdict]
        return runs[0] if runs else None

    run: dict[str, Any] = await eventually(lambda: asyncio.to_thread(found))
    return run


async def test_disaster_is_reported_in_time_cause_first_and_never_ok(doomed: Stack) -> None:
    """PostgreSQL and Valkey hang, Prometheus and Alertmanager are down; the run is recorded at once."""
    rows = doomed.ps()
    stopped = [*family(rows["postgres"]["pid"]), *family(rows["redis"]["pid"])]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        answer = await asyncio.to_thread(doomed.command, "ops", "morning")
        seconds = time.monotonic() - started
        run = await stored(doomed, "morning", "CRITICAL")
    finally:
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    assert seconds < 60
    assert answer.returncode == 3
    assert "Traceback" not in answer.stderr
    lines = [line for line in answer.stdout.splitlines() if line.strip()]
    assert lines[0].startswith("CRITICAL")
    causes = [line.split()[1] for line in lines if line.startswith("CRITICAL")][1:4]
    assert {"database.ready", "redis.ready"} <= set(causes), "causes before their effects"
    green = {line.split()[1] for line in lines if line.startswith("OK")}
    blind = (
        "database.", "redis.", "feed.home", "search.users", "alerts.active", "services.targets",
    )  # fmt: skip
    assert not {name for name in green if name.startswith(blind) and not name.endswith(".log")}
    seen = verdicts(doomed.json("ops", "show", run["id"]))
    assert (seen["alerts.active"], seen["alerts.resolved"]) == ("UNKNOWN", "OK"), (
        "what fires is Alertmanager's to know; what is over is in the history"
    )


async def test_full_disk_is_reported_and_recorded_once_there_is_space(
    doomed: Stack,
) -> None:
    if not doomed.home.is_mount():
        pytest.skip("this user may not mount a disk that can be full")
    await eventually(doomed.is_healthy)
    filling = doomed.home / "filling"
    with filling.open("wb") as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 20))
            file.flush()
    try:
        answer = await asyncio.to_thread(doomed.command, "ops", "midday")
        report = await asyncio.to_thread(doomed.command, "ops", "report")
        action = await asyncio.to_thread(doomed.command, "ops", "do", "rotate", "--yes")
        weekly = await asyncio.to_thread(doomed.command, "ops", "check", "host.disk")
    finally:
        filling.unlink()
    for said in (answer, report, action, weekly):
        assert "Traceback" not in said.stderr, said.stderr
    assert "CRITICAL host.disk" in weekly.stdout
    assert answer.returncode == 3
    assert "kept in memory" in answer.stdout or "not in the history" not in answer.stdout
    await eventually(
        lambda: (
            len(doomed.json("ops", "history", "midday")) == 1
            and len(doomed.json("ops", "history", "evening")) == 1
        )
    )


def test_without_a_stack_everything_is_unknown_or_critical_and_nothing_fails(
    doomed: Stack,
) -> None:
    (doomed.home / "other").mkdir(exist_ok=True)
    answer = doomed.command("ops", "midday", env={"CHITLAQ_HOME": str(doomed.home / "other")})
    assert answer.returncode in {1, 3}
    assert "Traceback" not in answer.stderr


def test_help_shows_the_routines_questions() -> None:
    titles = {name: one.title.partition(": ")[2] for name, one in ROUTINES.items()}
    assert {name: title.lower() for name, title in titles.items()} == {
        name: purpose.lower() for name, purpose in checks.ROUTINES.items()
    }
