"""Whether a component answers, over the sockets that its clients use."""

from __future__ import annotations

import asyncio
import json
import os
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from chitlaq.core.data.valkey_connection import WRITE_PROBE, Command, pack, refusal
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import http_client
from chitlaq.core.installation import observers
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import Secrets
from chitlaq.core.installation.settings import Settings

PROBE_SECONDS = 1.0
# How often the supervisor probes, and after how many missed probes in a row it replaces the process.
WATCH_SECONDS = 2.0
MAX_MISSED_PROBES = 5
STILL_SECONDS = 10.0
"""How long a receiver may receive nothing of what is written."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether there was one, which is its truth; ``fault``: why the process cannot do its work."""

    is_there: bool
    fault: str = ""

    def __bool__(self) -> bool:
        return self.is_there


Probe = Callable[[int], Awaitable[Answer]]
"""Asks whether the process with this id answers."""


def postgres(socket_folder: Path, port: int) -> Probe:
    """Ready if the server answers the startup packet, other than with "starting" or "stopping".

    The startup packet is what pg_isready sends; an error while starting or stopping has the
    SQLSTATE class 57P.
    """

    async def probe(_pid: int) -> bool:
        reader, writer = await asyncio.open_unix_connection(str(socket_folder / f".s.PGSQL.{port}"))
        try:
            body = struct.pack("!i", 196608) + b"user\0postgres\0database\0postgres\0\0"
            writer.write(struct.pack("!i", len(body) + 4) + body)
            kind = await reader.readexactly(1)
            if kind == b"E":
                (length,) = struct.unpack("!i", await reader.readexactly(4))
                return b"C57P" not in await reader.readexactly(length - 4)
            return kind == b"R"
        finally:
            writer.close()

    return bounded(probe)


def redis(home: Home) -> Probe:
    """Ready if it answers, unless it is still loading; unable if it refuses writes."""

    async def probe(_pid: int) -> Answer:
        reader, writer = await asyncio.open_unix_connection(str(home.redis_socket))
        try:
            password = Secrets(home.secrets).redis_password
            commands: tuple[Command, ...] = (("AUTH", password), ("PING",), WRITE_PROBE)
            writer.write(b"".join(pack(one) for one in commands))
            await reader.readline()
            ping, write = await reader.readline(), (await reader.readline()).decode().strip()
            fault = refusal(write.removeprefix("-")) if write.startswith("-") else ""
            return Answer(ping.startswith((b"+PONG", b"-NOAUTH")), fault)
        finally:
            writer.close()

    return bounded(probe)


def receiver(wal: Path, received: Path) -> Probe:
    """Ready once it receives what PostgreSQL writes; unable while PostgreSQL writes and it receives nothing.

    A file that is there and a connection that is open do not show that: both outlast a receiver that hangs,
    or whose disk is full.

    Args:
        wal: the folder of PostgreSQL's WAL.
        received: the folder into which it is received.
    """
    progress = _Progress()
    looking: asyncio.Task[tuple[float, float]] | None = None

    async def look() -> tuple[float, float]:
        # What was written before may arrive in between, and not the other way round.
        return await asyncio.to_thread(lambda: (_changed(wal), _changed(received)))

    async def probe(pid: int) -> Answer:
        nonlocal looking
        # A disk that is dead holds one thread, not one of each probe.
        if looking is None or looking.done():
            looking = asyncio.create_task(look())
        done, _ = await asyncio.wait({looking}, timeout=PROBE_SECONDS / 2)
        if not done:
            return Answer(progress.has_begun, f"{received} does not answer")
        if error := looking.exception():
            return Answer(progress.has_begun, str(error))
        still = progress.still(pid, *looking.result(), time.monotonic())
        fault = f"has received nothing for {still:.0f} s, while PostgreSQL writes"
        return Answer(progress.has_begun, fault if still > STILL_SECONDS else "")

    return bounded(probe)


class _Progress:
    """Since when a process has not received what was written, by when files changed.

    Such times are compared with earlier ones of the same folder: two file systems may have two clocks.
    """

    def __init__(self) -> None:
        self._pid = 0
        self._written = self._arrived = 0.0
        self._began = self._since = 0.0
        self.has_begun = False
        """Whether it has received anything, or waits for what is not written yet."""

    def still(self, pid: int, written: float, arrived: float, now: float) -> float:
        """Return for how many seconds something has been written and nothing has arrived."""
        if pid != self._pid:
            self._pid, self.has_begun, self._began = pid, False, now
            self._written, self._arrived, self._since = written, arrived, now
        if arrived != self._arrived:
            self.has_begun = True
            self._written, self._arrived, self._since = written, arrived, now
        elif written == self._written:
            self._since = now
            # It begins with the segment that is being written, unless that is empty.
            self.has_begun = self.has_begun or (
                now - self._began > STILL_SECONDS and 0 < written <= arrived
            )
        return now - self._since


def _changed(folder: Path) -> float:
    """Return when a file in a folder was last written to; 0 if there is none."""
    latest = 0.0
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # a complete segment has moved on
                if entry.is_file():
                    latest = max(latest, entry.stat().st_mtime)
    return latest


def service(socket: Path, target: str) -> Probe:
    """Ready if this very process answers: during a restart its predecessor may answer."""

    async def probe(pid: int) -> Answer:
        answer = await http_client.get(
            f"http://localhost{target}", socket=socket, timeout_seconds=PROBE_SECONDS
        )
        said = json.loads(answer.body) if answer.status == HTTPStatus.OK else {}
        return Answer(said.get("pid") == pid, str(said.get("fault", "")))

    return bounded(probe)


def nginx(ports: list[int]) -> Probe:
    """Ready if nginx answers on each of these ports."""

    async def probe(_pid: int) -> bool:
        for port in ports:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"GET /-/alive HTTP/1.0\r\n\r\n")
                if not (await reader.readline()).startswith(b"HTTP/"):
                    return False
            finally:
                writer.close()
        return True

    return bounded(probe)


def edge(socket: Path) -> Probe:
    """Ready if nginx answers on our own socket, whatever clients do on its ports."""

    async def probe(_pid: int) -> bool:
        answer = await http_client.get(
            "http://localhost/-/alive", socket=socket, timeout_seconds=PROBE_SECONDS
        )
        return answer.status == HTTPStatus.NO_CONTENT

    return bounded(probe)


def observer(home: Home, settings: Settings, name: str, target: str) -> Probe:
    """Ready if it answers 200 to a holder of the key."""

    async def probe(_pid: int) -> bool:
        access = observers.access(home, settings, name)
        answer = await http_client.get(
            access.url + target, tls=access.tls, timeout_seconds=PROBE_SECONDS
        )
        return answer.status == 200

    return bounded(probe)


def bounded(probe: Callable[[int], Awaitable[bool | Answer]]) -> Probe:
    """Return a probe that takes no longer than `PROBE_SECONDS`, and for which no answer is an answer."""

    async def asked(pid: int) -> Answer:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                answer = await probe(pid)
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, OperatorError):
            return Answer(False)
        return answer if isinstance(answer, Answer) else Answer(answer)

    return asked
