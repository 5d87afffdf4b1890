"""A disk that stands still: whoever needs none of it goes on, and nobody is killed for waiting."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
GOING_ON = {one.name for one in inventory.SERVICES} | {"postgres", "redis"}


@pytest.fixture(scope="module")
def on_a_disk() -> Iterator[Stack]:
    """A stack on a disk of its own."""
    with real_disk(1500) as disk:
        stack = start_stack()
        stack.home.rmdir()
        stack.home = disk / "home"
        stack.home.mkdir()
        stack.environment |= {
            "CHITLAQ_HOME": str(stack.home),
            "CHITLAQ_BACKUPS_FOLDER": str(stack.home / "backups"),
        }
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


async def ask(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=stack.edge, timeout=5) as client:
        with suppress(httpx.HTTPError):
            await client.get("/api/auth/status")


async def test_who_needs_no_disk_answers_and_nobody_is_killed_for_waiting(
    on_a_disk: Stack,
) -> None:
    assert (on_a_disk.home / "run" / "metrics").is_symlink(), "what is counted is in memory"
    before = running(on_a_disk)
    seen: dict[str, list[str]] = {name: [] for name in before}
    with frozen(on_a_disk.home):
        # nginx writes down who asked, and waits: nobody can kill it meanwhile, and the next would wait, too.
        asked = [asyncio.create_task(ask(on_a_disk)) for _ in range(20)]
        until = time.monotonic() + FROZEN_SECONDS
        while time.monotonic() < until:
            for name, one in running(on_a_disk).items():
                seen[name].append(one.state)
            await asyncio.sleep(0.5)
    await asyncio.gather(*asked)
    assert "unresponsive" in seen["nginx"]
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
