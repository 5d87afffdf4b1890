"""What systemd is told of us: that the stack is ready, that we live, and that we stop (sd_notify(3)).

Without systemd nobody is told. The variables are taken out of the environment, so that nobody below us speaks
for us: PostgreSQL would.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import suppress

from chitlaq.stack.supervisor.control import Status, is_up

POLL_SECONDS = 0.5


class ServiceManager:
    """Args:
    environment: ours; the service manager's variables are removed from it.
    """

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        self._address = environment.pop("NOTIFY_SOCKET", "")
        microseconds = environment.pop("WATCHDOG_USEC", "")
        environment.pop("WATCHDOG_PID", None)
        self._watchdog_seconds = int(microseconds) / 1e6 if microseconds.isdigit() else None

    def tell(self, state: str) -> bool:
        """Say something, as ``READY=1``; return whether it was taken. Nobody waits for who does not read."""
        if not self._address:
            return False
        # "@" stands for the abstract namespace of Linux.
        address = self._address.replace("@", "\0", 1) if self._address[0] == "@" else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
            sending.setblocking(False)
            sending.connect(address)
            sending.send(state.encode())
            return True
        return False

    async def follow(self, statuses: Callable[[], Sequence[Status]]) -> None:
        """Say once that everything is ready; and as long as our loop turns, that we live.

        Twice within the time after which systemd takes us for dead and starts us again.
        """
        if not self._address:
            return
        loop, is_ready, said_at = asyncio.get_running_loop(), False, 0.0
        every = self._watchdog_seconds and self._watchdog_seconds / 3
        while True:
            if not is_ready and is_up(statuses()):
                is_ready = self.tell("READY=1\nSTATUS=All required components are healthy.")
            if every and loop.time() - said_at >= every:
                said_at = loop.time()
                self.tell("WATCHDOG=1")
            await asyncio.sleep(min(POLL_SECONDS, every or POLL_SECONDS))
