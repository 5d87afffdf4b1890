"""Of several ops-services one acts, also when it is killed, frozen, or cannot reach PostgreSQL.

Attacks the promises that another takes over within 30 s, that one that wakes does nothing more, and that
people are told of incidents while PostgreSQL is away.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Operations
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.lease import lease
from chitlaq.ops.lease.lease import Lease, elapsed
from chitlaq.ops.lease.permission import VARIABLE, Turn
from chitlaq.ops.schedule.scheduler import Scheduler, parse
from tests.conftest import Stack, eventually
from tests.ops.lease import acting
from tests.ops.lease.acting import Line
from tests.ops.lease.conftest import Shared

MOST_SECONDS = 30.0


class Machines:
    """Processes of ops-services, each with a home of its own, and what they write down."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._url = url
        self._file = folder / "lines"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        self.processes[name] = subprocess.Popen(
            [
                sys.executable,
                "-m",
                acting.__name__,
                str(self._folder / name),
                self._url,
                str(self._file),
            ]
        )

    def lines(self, since: float = 0.0) -> Sequence[Line]:
        with suppress(FileNotFoundError):
            text = self._file.read_bytes()
            found = [msgspec.json.decode(one, type=Line) for one in text.splitlines()]
            return [one for one in found if one.at >= since]
        return []

    def who(self, did: str, since: float) -> set[str]:
        return {one.who for one in self.lines(since) if one.did == did}

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


@pytest.fixture
async def machines(shared: Shared, tmp_path: Path) -> AsyncIterator[Machines]:
    """Two, of which ``first`` holds the lease."""
    machines = Machines(tmp_path, shared.url)
    try:
        machines.start("first")
        await eventually(lambda: machines.who("change", 0.0))
        machines.start("second")
        await eventually((tmp_path / "second" / "ops" / "lease.lock").exists)
        yield machines
    finally:
        machines.stop()


def require_one_at_a_time(lines: Sequence[Line]) -> None:
    """Of those who changed something, one did until another began; each turn was taken once."""
    spans: dict[str, list[float]] = {}
    for one in lines:
        if one.did == "change":
            spans.setdefault(one.who, []).append(one.at)
    assert max(spans["first"]) < min(spans["second"])
    turns = [one.second for one in lines if one.did == "turn"]
    assert len(turns) == len(set(turns))
    assert len(turns) > 1


def test_another_takes_over_in_time() -> None:
    longest = lease.LEASE_SECONDS + lease.RENEW_SECONDS + lease.ASK_SECONDS
    assert longest < MOST_SECONDS
    assert lease.RENEW_SECONDS + lease.ASK_SECONDS < lease.LEASE_SECONDS - lease.MARGIN_SECONDS


async def test_holder_is_killed_and_another_takes_over(machines: Machines) -> None:
    killed_at = elapsed()
    machines.processes["first"].kill()
    await eventually(lambda: "second" in machines.who("turn", killed_at))
    took = min(one.at for one in machines.lines() if one.who == "second") - killed_at
    assert took < acting.LEASE_SECONDS + 2
    require_one_at_a_time(machines.lines())


async def test_holder_that_wakes_does_nothing_more(machines: Machines, shared: Shared) -> None:
    first = machines.processes["first"]
    first.send_signal(signal.SIGSTOP)
    stopped_at = elapsed()
    await eventually(lambda: "second" in machines.who("turn", stopped_at))
    woken_at = elapsed()
    first.send_signal(signal.SIGCONT)
    # It has asked PostgreSQL several times, and the other has gone on.
    await eventually(
        lambda: len([one for one in machines.lines(woken_at + 1) if one.did == "turn"]) > 1
    )
    assert machines.who("alert", woken_at) == {"second"}
    require_one_at_a_time(machines.lines())
    (row,) = await shared.sql("SELECT holder, epoch, cardinality(taken_at) AS taken FROM ops.lease")
    assert (row["epoch"], row["taken"]) == (2, 2)


async def test_while_postgresql_is_away_nobody_changes_and_all_alert(
    machines: Machines, shared: Shared
) -> None:
    await shared.go_away()
    away_at = elapsed()
    try:
        await eventually(lambda: "second" in machines.who("alert", away_at))
        over_at = away_at + acting.LEASE_SECONDS
        assert machines.who("change", over_at) == set()
        lines = machines.lines(away_at)
        assert min(one.at for one in lines if one.who == "second") > away_at + 3, "not at once"
        of_first = [one.at for one in lines if (one.who, one.did) == ("first", "alert")]
        pauses = [after - before for before, after in itertools.pairwise(of_first)]
        assert max(pauses) < 2.5, "the last holder goes on"
    finally:
        await shared.come_back()
    await eventually(lambda: machines.who("turn", away_at))
    back_at = elapsed()
    await eventually(lambda: len(machines.lines(back_at + 1)) > 20)
    assert len(machines.who("alert", back_at + 1)) == 1


async def test_process_that_starts_again_holds_on(shared: Shared, tmp_path: Path) -> None:
    for _ in range(2):
        await shared.lease(tmp_path)._attempt()
    (row,) = await shared.sql("SELECT epoch, cardinality(taken_at) AS taken FROM ops.lease")
    assert (row["epoch"], row["taken"]) == (1, 1)


@pytest.fixture
async def two(shared: Shared, tmp_path: Path) -> tuple[Lease, Lease]:
    """Leases of two machines: the second has it, and the first does not know yet."""
    first, second = shared.lease(tmp_path / "one"), shared.lease(tmp_path / "two")
    for one in (first, second):
        one._is_alone = True
    await first._attempt()
    await shared.sql("UPDATE ops.lease SET expires_at = clock_timestamp()")
    await second._attempt()
    assert [first.may_change, second.may_change] == [True, True], "as two clocks could have it"
    return first, second


async def test_what_an_earlier_holder_begins_is_refused(two: tuple[Lease, Lease]) -> None:
    first, second = two
    due = datetime.now(UTC)
    assert await first.begin("morning", due) is Turn.NOT_OURS
    assert await second.begin("morning", due) is Turn.BEGUN
    await first.end("morning", due)
    assert await second.begin("morning", due) is Turn.BEGUN, "an earlier holder ends nothing"
    await second.end("morning", due)
    assert await second.begin("morning", due) is Turn.DONE
    assert await second.begin("morning", due - timedelta(days=1)) is Turn.DONE
    assert await second.begin("morning", due + timedelta(days=1)) is Turn.BEGUN


async def test_routine_of_another_machine_is_not_run_again(
    two: tuple[Lease, Lease], shared: Shared, tmp_path: Path
) -> None:
    """It took over after the routine was due, and knows that it was run."""
    ran: list[str] = []
    now = datetime.now(UTC) + timedelta(days=1)
    rule = parse("morning", f"{now:%H:%M}")
    schedulers = []
    for name, held in zip(("one", "two"), two, strict=True):

        async def run(_: Home, routine: str, name: str = name) -> bool:
            ran.append(f"{name} {routine}")
            return True

        database, mails = OpsDatabase(Home(tmp_path / name)), held._database
        settings = Operations(timezone="UTC")
        schedulers.append(
            Scheduler(Home(tmp_path / name), settings, database, mails, run, lambda: now, held)
        )
    # Both have known it before.
    now -= timedelta(days=1)
    for one in schedulers:
        assert not await one.run_if_due(rule)
    now += timedelta(days=1)
    first, second = schedulers
    assert not await first.run_if_due(rule), "it no longer holds the lease"
    assert await second.run_if_due(rule)
    await shared.sql("UPDATE ops.lease SET expires_at = clock_timestamp()")
    await two[0]._attempt()
    assert not await first.run_if_due(rule), "it was run"
    assert ran == ["two morning"]


@pytest.fixture
def child(shared: Shared) -> Iterator[Callable[[int, str], subprocess.Popen[str]]]:
    """Starts what ops-service starts under a lease."""
    started = []
    code = (
        "import os, time\nfrom tests.ops.lease import acting\nfrom chitlaq.ops.lease import guard\n"
        f"acting.quicken()\nguard.RENEW_SECONDS = 0.3\nguard.begin(os.environ['{VARIABLE}'])\n"
        "print('begun', flush=True)\ntime.sleep(60)"
    )

    def start(epoch: int, kind: str) -> subprocess.Popen[str]:
        url = shared.stack.dsn(database=shared.name)
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**shared.stack.environment, "DATABASE_URL": url, VARIABLE: f"{epoch} {kind}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


async def test_what_was_begun_under_an_earlier_lease_ends_itself(
    two: tuple[Lease, Lease],
    shared: Shared,
    child: Callable[[int, str], subprocess.Popen[str]],
) -> None:
    late, going = child(1, "look"), child(2, "look")
    assert "holds the lease by now" in late.communicate(timeout=30)[1]
    assert going.stdout is not None
    assert going.stdout.readline() == "begun\n"
    time.sleep(1)
    assert going.poll() is None
    await shared.sql("UPDATE ops.lease SET expires_at = clock_timestamp()")
    await two[0]._attempt()
    assert going.wait(30) == -signal.SIGTERM


async def test_console_and_commands_say_who_acts(two: tuple[Lease, Lease]) -> None:
    first, second = two
    await first._attempt()
    assert first.elsewhere
    assert not second.elsewhere
    second.require_here()
    with pytest.raises(Exception, match="holds the lease"):
        first.require_here()


HEARD = (
    ("incidents", "ack", "1"),
    ("incidents", "severity", "1", "P2", "--why", "few notice"),
    ("status", "set", "feed", "degraded"),
    ("status", "publish", "1", "investigating"),
    ("status", "maintenance", "end", "1"),
    ("ops", "ack", "host.disk", "two disks come", "--as", "ada"),
    ("incidents", "open", "It burns", "--severity", "P1"),
)


async def test_what_the_holder_would_not_hear_of_is_refused(shared: Shared, tmp_path: Path) -> None:
    await shared.lease(tmp_path)._attempt()
    await shared.sql("UPDATE ops.lease SET expires_at = now() + interval '1 hour'")
    url = shared.stack.dsn(database=shared.name)
    for words in HEARD:
        answer = await asyncio.to_thread(shared.stack.command, *words, env={"DATABASE_URL": url})
        assert (answer.returncode, "holds the lease" in answer.stderr) == (1, True), answer


def test_command_says_who_holds_it(stack: Stack) -> None:
    answer = stack.command("ops", "lease")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "(this machine) holds the lease since" in answer.stdout
    assert stack.json("ops", "lease")["is_here"]
    (check,) = stack.json("ops", "check", "operations.lease")["results"]
    assert check["verdict"] == "OK"
