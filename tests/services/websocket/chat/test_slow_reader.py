"""A reader that stops: others in its group notice nothing; it is bounded, told why, and resumes."""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.frames import Close, Opcode

from chitlaq.services.websocket.sockets.connection import MAX_WAITING_BYTES
from tests.conftest import Member, Stack
from tests.services.websocket.chat.talking import (
    Join,
    connected,
    conversation,
    received,
    say,
    until,
)
from tests.services.websocket.flood import HANDSHAKE, TEXT, frame
from tests.services.websocket.test_connection import parsed

# Each is the longest that a message may be, in bytes too.
LONG_TEXT = "🎓" * 4000
# More than the server and the kernel keep.
MESSAGES = 45
MAX_RATIO = 1.5
# The scheduler's own delay on a machine whose processors are all busy.
NOTHING_SECONDS = 0.010


class Stopped:
    """A signed-in client that reads no more. Of a Unix socket, as nginx has, the kernel keeps little."""

    def __init__(self, stack: Stack, member: Member) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30)
        self._socket.connect(str(stack.home / "run" / "websocket.0.sock"))
        sign_in = json.dumps({"type": "auth", "token": member.token}).encode()
        self._socket.sendall(HANDSHAKE + frame(TEXT, sign_in))
        heard = b""
        while b'"signed_in"' not in heard:
            heard += self._socket.recv(1000)

    def rest(self) -> tuple[list[int], Close]:
        """Read again, to the end: the numbers of messages, and why it was closed."""
        data = b""
        while some := self._socket.recv(1 << 20):
            data += some
        self._socket.close()
        frames = parsed(data)
        bodies = [json.loads(bytes(one.data)) for one in frames if one.opcode is Opcode.TEXT]
        numbers = [body["seq"] for body in bodies if body["type"] == "message"]
        return numbers, Close.parse(bytes(frames[-1].data))


@asynccontextmanager
async def all_connected(
    stack: Stack, members: list[Member]
) -> AsyncIterator[list[ClientConnection]]:
    if not members:
        yield []
        return
    async with connected(stack, members[0]) as first, all_connected(stack, members[1:]) as rest:
        yield [first, *rest]


async def delays(writer: Member, found: str, readers: list[ClientConnection]) -> list[float]:
    """Write long messages; return how long each took to reach each of these."""

    async def heard(reader: ClientConnection, started: float) -> float:
        await received(reader, "message")
        return perf_counter() - started

    seconds: list[float] = []
    for number in range(MESSAGES):
        started = perf_counter()
        waiting = [asyncio.create_task(heard(one, started)) for one in readers]
        await say(writer, found, f"{number}{LONG_TEXT}"[:4000])
        seconds += await asyncio.gather(*waiting)
    return seconds


@pytest.mark.parametrize(
    "is_timed",
    [pytest.param(False, id="in order"), pytest.param(True, id="in time", marks=pytest.mark.long)],
)
async def test_reader_that_stops_is_bounded_and_closed_and_resumes_and_others_notice_nothing(
    stack: Stack, join: Join, *, is_timed: bool
) -> None:
    writer, stopping, *others = [await join() for _ in range(8 if is_timed else 4)]
    group = await conversation(writer, stopping, *others, kind="group", name="busy")
    found, before = group["id"], group["last_seq"]
    async with all_connected(stack, others) as readers:
        quiet = await delays(writer, found, readers) if is_timed else []
        stopped = Stopped(stack, stopping)
        looking = asyncio.create_task(asyncio.to_thread(stack.json, "ws", "sockets", "--json"))
        busy = await delays(writer, found, readers)
        kept = [row["unread_bytes"] for row in await looking]
    assert max(kept) <= MAX_WAITING_BYTES + len(LONG_TEXT.encode())
    numbers, closed = await asyncio.to_thread(stopped.rest)
    assert (closed.code, closed.reason) == (1013, "reading too slowly")
    first = before + len(quiet) // max(len(others), 1) + 1
    assert numbers == list(range(first, first + len(numbers)))
    assert len(numbers) < MESSAGES
    async with connected(stack, stopping) as again:
        await again.send(
            json.dumps({"type": "resume", "conversations": {found: first + len(numbers) - 1}})
        )
        frames = await until(again, "resumed")
    missed = [one["seq"] for one in frames if one["type"] == "message"]
    assert numbers + missed == list(range(first, first + MESSAGES))
    if is_timed:
        p95, alone = (statistics.quantiles(some, n=20)[-1] for some in (busy, quiet))
        assert p95 < MAX_RATIO * alone + NOTHING_SECONDS
