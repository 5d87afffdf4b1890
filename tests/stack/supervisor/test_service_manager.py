"""systemd is told when the stack is ready, that the supervisor lives, and that it stops."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from chitlaq.core.installation.home import Home
from chitlaq.stack.supervisor import leftovers
from tests.conftest import Stack, eventually, start_stack, stop_stack


class Manager:
    """As systemd: a socket that is told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        path.chmod(0o777)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        # It ends with the test's process, as nobody says to this socket that it is over.
        while data := self._socket.recv(4096):
            self.told += data.decode().splitlines()


@pytest.fixture
def manager(tmp_path: Path) -> Manager:
    tmp_path.chmod(0o755)
    return Manager(tmp_path / "notify")


@pytest.fixture
def managed(manager: Manager) -> Iterator[Stack]:
    stack = start_stack(NOTIFY_SOCKET=str(manager.path), WATCHDOG_USEC="900000")
    try:
        yield stack
    finally:
        stop_stack(stack)


async def test_service_manager_knows_of_start_life_hang_and_end(
    managed: Stack, manager: Manager
) -> None:
    managed.up()
    await eventually(lambda: "READY=1" in manager.told)
    assert managed.is_healthy()
    assert manager.told.count("READY=1") == 1, "no server below speaks for the whole"

    manager.told.clear()
    await eventually(lambda: manager.told.count("WATCHDOG=1") >= 3)

    supervisor = next(
        pid
        for pid, name in leftovers.marked(Home(managed.home)).items()
        if name == leftovers.SUPERVISOR
    )
    os.kill(supervisor, signal.SIGSTOP)
    try:
        manager.told.clear()
        assert not await _is_told(manager), "one that hangs is not said to live"
    finally:
        os.kill(supervisor, signal.SIGCONT)
    await eventually(lambda: "WATCHDOG=1" in manager.told)

    assert managed.command("down").returncode == 0
    assert "STOPPING=1" in manager.told


async def _is_told(manager: Manager) -> bool:
    with suppress(TimeoutError, AssertionError):
        await eventually(lambda: bool(manager.told), seconds=1.5)
    return bool(manager.told)
