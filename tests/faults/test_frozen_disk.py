"""A disk that stands still: whoever needs none of it goes on, and nobody is killed for waiting."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from chitlaq import inventory
from chitlaq.core.installation.home import Home
from chitlaq.stack.supervisor import control
from chitlaq.stack.supervisor.control import Status
from chitlaq.stack.supervisor.probes import MAX_MISSED_PROBES, WATCH_SECONDS
from tests.conftest import Stack, eventually, start_stack, stop_stack
from tests.disks import real_disk

FROZEN_SECONDS = 2 * MAX_MISSED_PROBES * WATCH_SECONDS
"""Twice what the supervisor allows one that hangs."""
GOING_ON = {one.name for one in inventory.SERVICES} | {"postgres", "redis", "nginx"}


@pytest.fixture(scope="module")
def on_a_disk() -> Iterator[Stack]:
    """A stack on a disk of its own."""
    with real_disk(1500) as disk:
        stack = start_stack(disk / "home")
        try:
            stack.up()
            yield stack
        finally:
            stop_stack(stack)


@contextmanager
def frozen(folder: Path) -> Iterator[None]:
    """Whoever writes there waits until the end of the block."""
    mount = folder.parent
    subprocess.run(["fsfreeze", "--freeze", mount], check=True)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", mount], check=True)


def running(stack: Stack) -> dict[str, Status]:
    return {one.name: one for one in control.ask(Home(stack.home), control.Ps())}


async def answered(stack: Stack) -> list[str]:
    """Ask for what needs no disk, several times at once; return the ids of the requests."""
    async with httpx.AsyncClient(base_url=stack.edge, timeout=20) as client:
        answers = await asyncio.gather(*(client.get("/api/auth/status") for _ in range(8)))
    assert {one.status_code for one in answers} == {200}
    return [one.headers["x-request-id"] for one in answers]


def logged(stack: Stack, asked: list[str]) -> list[str]:
    lines = map(json.loads, Home(stack.home).access_log.read_text().splitlines())
    wanted = set(asked)
    return [one["request_id"] for one in lines if one["request_id"] in wanted]


async def test_who_needs_no_disk_answers_and_nobody_is_killed_for_waiting(
    on_a_disk: Stack,
) -> None:
    home = Home(on_a_disk.home)
    for folder in (home.all_metrics, home.new_access_lines.parent):
        assert folder.is_symlink(), "what is counted and who asked is in memory"
    before = running(on_a_disk)
    seen: dict[str, list[str]] = {name: [] for name in before}
    asked: list[str] = []
    with frozen(on_a_disk.home):
        # Whoever writes there waits.
        writing = asyncio.create_task(asyncio.to_thread((home.root / "probe").write_bytes, b"x"))
        until = time.monotonic() + FROZEN_SECONDS
        while time.monotonic() < until:
            asked += await answered(on_a_disk)
            for name, one in running(on_a_disk).items():
                seen[name].append(one.state)
            await asyncio.sleep(0.5)
        assert not writing.done()
    await writing
    await eventually(lambda: asyncio.to_thread(on_a_disk.is_healthy))
    after = running(on_a_disk)
    assert {one.pid for one in after.values()} == {one.pid for one in before.values()}, seen
    # A busy machine alone can miss a probe.
    silent = {
        after[name].service
        for name, states in seen.items()
        if states.count("unresponsive") > len(states) / 2
    }
    assert not silent & GOING_ON, seen
    await eventually(lambda: sorted(logged(on_a_disk, asked)) == sorted(asked))
