"""What a dead component has left running is ended, nothing else is, and no command waits in silence.

Attacks the promises that everything recovers on its own, and that `chitlaq down` stops everything.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import psutil
import pytest

from chitlaq import inventory
from chitlaq.core.installation.home import Home
from chitlaq.stack.servers import process_specs
from chitlaq.stack.supervisor import leftovers
from tests.conftest import Stack, eventually, start_stack, stop_stack

RUNNING = [row.name for row in inventory.COMPONENTS.values() if row.kind in {"server", "service"}]


def processes(stack: Stack, component: str) -> list[psutil.Process]:
    return [psutil.Process(pid) for pid in leftovers.of(Home(stack.home), component)]


def named(name: str, pids: Iterable[int]) -> list[psutil.Process]:
    """Those of this name; any other may end while it is looked at."""
    found = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if process.name() == name:
                found.append(process)
    return found


def is_back(stack: Stack, component: str, pid: int) -> bool:
    now = stack.ps()
    return now[component]["pid"] not in {None, pid} and all(
        row["state"] in {"healthy", "done"} for row in now.values()
    )


async def test_postgresql_returns_though_a_backend_is_busy(stack: Stack) -> None:
    pid = (await asyncio.to_thread(stack.ps))["postgres"]["pid"]
    connection = await asyncpg.connect(stack.dsn())
    backend = await connection.fetchval("SELECT pg_backend_pid()")
    # It never looks whether its server still lives.
    busy = asyncio.create_task(connection.fetchval("SELECT count(*) FROM generate_series(1, 1e12)"))
    await eventually(lambda: psutil.Process(backend).cpu_times().user > 0.2)
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: asyncio.to_thread(is_back, stack, "postgres", pid))
    with pytest.raises(Exception, match=r".+"):
        await busy
    connection.terminate()
    # Not even as a zombie: the supervisor has adopted it.
    await eventually(lambda: not psutil.pid_exists(backend))


@pytest.mark.parametrize("component", RUNNING)
async def test_what_a_killed_component_left_is_ended_before_it_starts_again(
    stack: Stack, component: str
) -> None:
    pid = (await asyncio.to_thread(stack.ps))[component]["pid"]
    before = processes(stack, component)
    assert pid in [process.pid for process in before]
    # One that is not ours, though it looks like it.
    stranger = subprocess.Popen(["sleep", "600"], cwd=stack.home, start_new_session=True)
    try:
        for process in before:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: asyncio.to_thread(is_back, stack, component, pid))
        await eventually(lambda: not any(process.is_running() for process in before))
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.fixture(scope="module")
def own_home() -> Iterator[Stack]:
    own = start_stack(CHITLAQ_BACKUPS_ARCHIVE="on")
    try:
        yield own
    finally:
        stop_stack(own)


@pytest.fixture
def own(own_home: Stack) -> Stack:
    """A stack that runs; each test stops it, and the next one finds that it starts again."""
    own_home.up()
    return own_home


async def test_down_stops_what_is_frozen_and_says_what_it_waits_for(own: Stack) -> None:
    home = Home(own.home)
    (supervisor,) = leftovers.of(home, leftovers.SUPERVISOR)
    for pid in set(leftovers.marked(home)) - {supervisor}:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    answer = await asyncio.to_thread(own.command, "down")
    assert (answer.returncode, answer.stdout) == (0, "Stopped.\n"), answer.stderr
    assert leftovers.marked(home) == {}
    assert not supervisor_children(supervisor)


async def test_receiver_does_not_outlive_barman_and_the_supervisor(own: Stack) -> None:
    home = Home(own.home)

    def receivers() -> list[psutil.Process]:
        return named("pg_receivewal", leftovers.of(home, "wal-archive"))

    (receiver,) = await eventually(receivers)
    barman = receiver.parent()
    assert barman is not None
    (supervisor,) = leftovers.of(home, leftovers.SUPERVISOR)
    receiver.suspend()
    os.kill(supervisor, signal.SIGSTOP)
    barman.kill()
    os.kill(supervisor, signal.SIGKILL)
    await eventually(lambda: leftovers.of(home, leftovers.SUPERVISOR) == set())
    assert receiver.is_running()
    answer = await asyncio.to_thread(own.command, "down")
    assert (answer.returncode, answer.stdout) == (0, "Stopped.\n"), answer.stderr
    await eventually(lambda: not receiver.is_running())


async def test_base_backup_does_not_outlive_its_command_and_down(own: Stack) -> None:
    command = subprocess.Popen(
        [sys.executable, "-m", "chitlaq", "backup", "run", "full"],
        env=own.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def copying() -> list[psutil.Process]:
        assert command.poll() is None
        every = psutil.Process(command.pid).children(recursive=True)
        return named("pg_basebackup", (one.pid for one in every))

    try:
        (copy,) = await eventually(copying)
        copy.suspend()
        barman = copy.parent()
        assert barman is not None
    finally:
        command.kill()
        command.wait()
    await eventually(lambda: not barman.is_running())
    assert copy.is_running()
    answer = await asyncio.to_thread(own.command, "down")
    assert (answer.returncode, answer.stdout) == (0, "Stopped.\n"), answer.stderr
    await eventually(lambda: not copy.is_running())


def supervisor_children(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


async def test_no_command_hangs_with_a_frozen_supervisor_and_down_ends_what_it_leaves(
    own: Stack,
) -> None:
    home = Home(own.home)
    (supervisor,) = leftovers.of(home, leftovers.SUPERVISOR)
    os.kill(supervisor, signal.SIGSTOP)
    commands = (("ps",), ("stats",), ("restart", "nginx"), ("rotate",), ("doctor",), ("down",))
    answers = await asyncio.gather(
        *(asyncio.to_thread(own.command, *words, timeout=60) for words in commands)
    )
    for words, answer in zip(commands, answers, strict=True):
        assert answer.returncode == 1, words
        assert f"The supervisor (process {supervisor}) does not answer" in answer.stderr, words
    for backend in processes(own, "postgres"):
        backend.suspend()
    os.kill(supervisor, signal.SIGKILL)
    await eventually(lambda: leftovers.of(home, leftovers.SUPERVISOR) == set())
    assert leftovers.of(home, "postgres")
    answer = await asyncio.to_thread(own.command, "down")
    assert (answer.returncode, answer.stdout) == (0, "Stopped.\n"), answer.stderr
    assert "postgres" in answer.stderr
    assert leftovers.marked(home) == {}


async def test_restart_says_what_it_waits_for(stack: Stack) -> None:
    suspended = processes(stack, "postgres")
    for process in suspended:
        process.suspend()
    restarting = await asyncio.create_subprocess_exec(
        *process_specs.chitlaq("restart", "feed-service"),
        env=stack.environment,
        stderr=asyncio.subprocess.PIPE,
    )
    assert restarting.stderr is not None
    said = ""
    async with asyncio.timeout(60):
        while "feed-service (healthy, its successor starts)" not in said:
            line = await restarting.stderr.readline()
            assert line, said
            said += line.decode()
        for process in suspended:
            with suppress(psutil.NoSuchProcess):  # the supervisor has lost patience with it
                process.resume()
        assert await restarting.wait() == 0, said
    assert "waiting for" in said
    await eventually(lambda: asyncio.to_thread(stack.is_healthy))


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM])
async def test_stack_in_the_foreground_ends_with_its_command(kill: signal.Signals) -> None:
    """Also if the command is killed before it has told the supervisor that it stays."""
    own = start_stack()
    home = Home(own.home)
    try:
        for wanted in (1, 3, 8):
            command = subprocess.Popen(
                process_specs.chitlaq("up"), env=own.environment, stdout=subprocess.DEVNULL
            )
            deadline = time.monotonic() + 60
            while len(leftovers.marked(home)) < wanted and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
            command.send_signal(kill)
            await asyncio.to_thread(command.wait)
            await eventually(lambda: leftovers.marked(home) == {})
    finally:
        stop_stack(own)


async def test_down_does_not_wait_for_a_package_that_is_being_fetched(tmp_path: Path) -> None:
    marker = tmp_path / "asked"
    client = tmp_path / "apt-get"
    client.write_text(f"#!/bin/sh\ntouch {marker}\nexec sleep 100\n")
    client.chmod(0o755)
    tmp_path.chmod(0o777)
    stack = start_stack(CHITLAQ_MONITORING_EMBEDDED="true", PATH=f"{tmp_path}:{os.environ['PATH']}")
    try:
        stack.up()
        await eventually(marker.exists)
        answer = stack.command("down")
        assert answer.returncode == 0, answer.stderr
    finally:
        stop_stack(stack)
