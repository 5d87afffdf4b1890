"""One connection as RFC 6455 wants it: frames, limits, flow control, heartbeat, closing.

The server echoes; clients send bytes.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Close, CloseCode, Frame, Opcode
from websockets.streams import StreamReader

from chitlaq.services.websocket.sockets import connection, framing
from chitlaq.services.websocket.sockets.budget import Budget
from chitlaq.services.websocket.sockets.connection import Connection
from tests.conftest import eventually
from tests.services.websocket.flood import BINARY, PING, PONG, TEXT, frame

CLOSE, CONTINUATION = 0x8, 0x0


class Echo(Connection):
    """Returns each message; `slowly` in a task, `later` without, `burst` a thousand times; `fail` fails."""

    def __init__(self) -> None:
        super().__init__()
        self.connections = set()
        self.ended: tuple[int, str] | None = None

    def receive(self, message: bytes | bytearray) -> Coroutine[Any, Any, None] | None:
        if message == b"fail":
            raise RuntimeError("planted")
        if message == b"slowly":
            return self._slowly(bytes(message))
        if message == b"later":
            self.wait()
            asyncio.get_running_loop().call_later(0.05, self._answer, bytes(message))
            return None
        for _ in range(1000 if message == b"burst" else 1):
            self.write(framing.text(bytes(message) * (100 if message == b"burst" else 1)))
        return None

    async def _slowly(self, message: bytes) -> None:
        await asyncio.sleep(0.05)
        self.write(framing.text(message))

    def _answer(self, message: bytes) -> None:
        self.write(framing.text(message))
        self.proceed()

    def closing(self, code: int, reason: str) -> None:
        self.ended = (code, reason)

    def abort(self) -> None:
        self._transport.abort()

    @property
    def waiting(self) -> int:
        return self._transport.get_write_buffer_size()


class Client:
    def __init__(self, server: Server) -> None:
        self._server = server

    async def connect(self) -> Client:
        self.reader, self.writer = await asyncio.open_unix_connection(self._server.path)
        await eventually(lambda: len(self._server.accepted) > 0)
        self.server = self._server.accepted.pop()
        return self

    def server_call(self, function: Callable[[], object]) -> None:
        self._server.call(function)

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def frames(self) -> list[Frame]:
        """Every frame until the server closes its side."""
        async with asyncio.timeout(20):
            return parsed(await self.reader.read())

    async def next_frame(self) -> Frame:
        async with asyncio.timeout(20):
            head = await self.reader.readexactly(2)
            size = head[1]
            if size == 126:
                size = int.from_bytes(await self.reader.readexactly(2))
            return Frame(Opcode(head[0] & 15), await self.reader.readexactly(size))


def parsed(data: bytes) -> list[Frame]:
    reader, frames = StreamReader(), []
    reader.feed_data(data)

    def parse() -> Generator[None, None, None]:
        while True:
            frames.append((yield from Frame.parse(reader.read_exact, mask=False)))

    next(parse())
    return frames


def close_of(frames: list[Frame]) -> tuple[int, str]:
    assert frames[-1].opcode is Opcode.CLOSE
    said = Close.parse(frames[-1].data)
    return said.code, said.reason


Connect = Callable[[], Coroutine[Any, Any, Client]]


class Server:
    """uvloop with our protocol, as in production, in a thread of its own."""

    def __init__(self, path: Path, make: Callable[[], Any] = Echo) -> None:
        self.path = path
        self.accepted: list[Any] = []
        self._make = make
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(10)

    def call(self, function: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(function)

    def exchange(self, sent: bytes, cuts: list[int]) -> bytes:
        """Send bytes in pieces, and return everything until the server closes.

        Like a browser, the client ends its side when it has read why: the server need not wait for it.
        """
        edges = [0, *sorted(cut for cut in cuts if cut < len(sent)), len(sent)]
        answer = b""
        with socket.socket(socket.AF_UNIX) as client, suppress(ConnectionError):
            client.settimeout(20)
            client.connect(str(self.path))
            for start, end in pairwise(edges):
                client.sendall(sent[start:end])
            while received := client.recv(65_536):
                answer += received
                if any(one.opcode is Opcode.CLOSE for one in parsed(answer)):
                    client.shutdown(socket.SHUT_WR)
        return answer

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self) -> None:
        self._server = await self._loop.create_unix_server(self._accept, str(self.path))

    async def _stop(self) -> None:
        self._server.close()
        for one in self.accepted:
            one.abort()
        await asyncio.sleep(0.01)

    def _accept(self) -> Any:
        self.accepted.append(self._make())
        return self.accepted[-1]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "socket")
    yield server
    server.close()


@pytest.fixture
async def connect(server: Server) -> AsyncIterator[Connect]:
    clients: list[Client] = []

    async def connect() -> Client:
        clients.append(await Client(server).connect())
        return clients[-1]

    yield connect
    for client in clients:
        client.writer.close()


BOMB = zlib.compress(bytes(1_000_000), wbits=-15)[:-4]
VIOLATIONS: dict[str, tuple[bytes, int]] = {
    "no mask": (b"\x81\x01x", 1002),
    "reserved bit": (b"\xc1\x80\0\0\0\0", 1002),
    # A kilobyte that deflate makes a megabyte of: it was not agreed on, and is not inflated.
    "compressed bomb": (bytes([0xC1]) + frame(TEXT, BOMB)[1:], 1002),
    "unknown type": (b"\x83\x80\0\0\0\0", 1002),
    "unknown control type": (b"\x8b\x80\0\0\0\0", 1002),
    "fragmented ping": (frame(PING, is_final=False), 1002),
    "long ping": (frame(PING, b"x" * 126), 1002),
    "long close": (frame(CLOSE, b"\x03\xe8" + b"x" * 124), 1002),
    "continuation of nothing": (frame(CONTINUATION, b"x"), 1002),
    "continuation after the end": (frame(TEXT, b"a") + frame(CONTINUATION, b"b"), 1002),
    "message within a message": (frame(TEXT, b"a", is_final=False) + frame(TEXT, b"b"), 1002),
    "text that is not UTF-8": (frame(TEXT, b"\xff"), 1007),
    "fragments that are not UTF-8": (
        frame(TEXT, b"\xc3", is_final=False) + frame(CONTINUATION, b"("), 1007,
    ),
    "announced size": (b"\x81\xff" + (2**62).to_bytes(8) + bytes(4), 1009),
    "size beyond the bound": (b"\x81\xff" + (65_537).to_bytes(8) + bytes(4), 1009),
    "fragments beyond the bound": (
        frame(TEXT, b"x" * 40_000, is_final=False) + frame(CONTINUATION, b"x" * 40_000), 1009,
    ),
    "close code that is none": (frame(CLOSE, (999).to_bytes(2)), 1002),
    "half a close code": (frame(CLOSE, b"x"), 1002),
    "close reason that is not UTF-8": (frame(CLOSE, b"\x03\xe8\xff"), 1007),
    "a fault of ours": (frame(TEXT, b"fail"), 1011),
}  # fmt: skip


@pytest.mark.parametrize("case", VIOLATIONS)
async def test_violation_is_closed_with_its_code_and_a_reason(connect: Connect, case: str) -> None:
    sent, code = VIOLATIONS[case]
    client = await connect()
    client.send(sent + frame(TEXT, b"after"))
    frames = await client.frames()
    assert close_of(frames)[0] == code
    assert close_of(frames)[1]
    assert frames[-1].data, "with a reason"
    assert all(bytes(one.data) != b"after" for one in frames), "nothing is handled after it"
    assert client.server.ended == close_of(frames)


FLOODS = {
    "pings": frame(PING),
    "pongs": frame(PONG, b"x" * 125),
    "empty texts": frame(TEXT),
    "binaries": frame(BINARY, b"x"),
    "empty continuations": frame(CONTINUATION, is_final=False),
    "large messages": frame(TEXT, b"x" * 60_000),
}


@pytest.mark.parametrize("kind", FLOODS)
async def test_frames_of_every_type_are_within_one_budget(connect: Connect, kind: str) -> None:
    client = await connect()
    if kind == "empty continuations":
        client.send(frame(TEXT, is_final=False))
    client.send(FLOODS[kind] * (2_000 if len(FLOODS[kind]) < 200 else 20))
    frames = await client.frames()
    assert close_of(frames) == (1008, "too many frames or bytes")
    answered = sum(len(one.data) for one in frames[:-1])
    assert len(frames) <= connection.FRAMES_PER_SECOND * Budget.burst_seconds + 20
    assert answered <= connection.BYTES_PER_SECOND * Budget.burst_seconds * 2


async def test_clients_that_share_a_budget_wait_their_turn(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Echo, "shared_budget", Budget(frames=20, size=1e9))
    clients = [await connect() for _ in range(4)]
    began = perf_counter()
    for one in clients:
        one.send(frame(TEXT, b"x") * 20)
    for one in clients:
        for _ in range(20):
            assert bytes((await one.next_frame()).data) == b"x"
    # 40 at once, the others as the budget refills.
    assert 1.5 < perf_counter() - began < 15
    assert all(one.server.ended is None for one in clients)
    for one in clients:
        one.send(frame(TEXT, b"x") * 2)
        one.writer.close()
    await eventually(lambda: all(one.server.ended is not None for one in clients))


def test_debt_of_a_shared_budget_has_an_end() -> None:
    budget = Budget(frames=10, size=1e9)
    for _ in range(1_000):
        waits = budget.spend(0.0, 1, 0, longest=5.0)
    assert waits == 5.0
    assert budget.spend(8.0, 1, 0, longest=5.0) == 0.0


async def test_what_comes_after_the_close_is_not_kept_or_read_for_ever(connect: Connect) -> None:
    client = await connect()
    client.send(frame(PING) * 50_000)

    async def fills_the_kernel() -> None:
        while True:
            client.send(frame(PING) * 50_000)
            await client.writer.drain()

    flood = asyncio.create_task(fills_the_kernel())
    await eventually(lambda: client.server.ended is not None)
    with suppress(ConnectionError):
        await asyncio.wait_for(flood, connection.CLOSE_SECONDS + 20)
    assert client.server.connections == set()


@settings(max_examples=60)
@given(
    messages=st.lists(st.text(max_size=300).filter(lambda text: text != "fail"), max_size=6),
    cuts=st.lists(st.integers(0, 2_000), max_size=8),
    data=st.data(),
)
def test_any_fragmentation_of_any_messages_arrives_whole_and_in_order(
    server: Server, messages: list[str], cuts: list[int], data: st.DataObject
) -> None:
    sent = b""
    for message in messages:
        encoded = message.encode()
        places = data.draw(st.lists(st.integers(0, len(encoded)), max_size=4))
        edges = [0, *sorted(places), len(encoded)]
        parts = [encoded[a:b] for a, b in pairwise(edges)]
        for index, part in enumerate(parts):
            is_final = index == len(parts) - 1
            sent += frame(CONTINUATION if index else TEXT, part, is_final=is_final)
            if not is_final:
                sent += frame(PING, b"between")
    sent += frame(CLOSE, (1000).to_bytes(2))
    frames = parsed(server.exchange(sent, cuts))
    assert [bytes(one.data).decode() for one in frames if one.opcode is Opcode.TEXT] == messages
    assert close_of(frames)[0] == 1000


@settings(max_examples=100)
@given(sent=st.binary(max_size=400), cuts=st.lists(st.integers(0, 400), max_size=4))
def test_any_bytes_are_answered_with_frames_and_a_close(
    server: Server, monkeypatch: pytest.MonkeyPatch, sent: bytes, cuts: list[int]
) -> None:
    """Eight zeros end whatever was begun: as a frame, they are one without a mask."""
    # The client's end comes behind its zeros: unread, each example would wait for the server's.
    monkeypatch.setattr(connection, "MAX_DISCARDED_BYTES", 100_000)
    frames = parsed(server.exchange(sent + bytes(70_000), cuts))
    assert close_of(frames)[0] in {1000, 1001, 1002, 1007, 1008, 1009, *range(3000, 5000)}


@pytest.mark.parametrize("first", [b"slowly", b"later"])
@pytest.mark.parametrize("is_together", [True, False])
async def test_messages_wait_for_the_work_of_the_one_before(
    connect: Connect, first: bytes, is_together: bool
) -> None:
    client = await connect()
    rest = frame(TEXT, b"quick") + frame(TEXT, first) + frame(PING, b"p")
    client.send(frame(TEXT, first) + (rest if is_together else b""))
    if not is_together:
        await asyncio.sleep(0.02)  # so that it arrives meanwhile
        client.send(rest)
    answers = [bytes((await client.next_frame()).data) for _ in range(4)]
    assert answers == [first, b"quick", first, b"p"]


async def test_what_is_written_in_one_turn_is_bounded_and_leaves_in_order(connect: Connect) -> None:
    client = await connect()
    many = [b"%06d" % number * 20 for number in range(1500)]
    client.server_call(lambda: [client.server.write(framing.text(one)) for one in many])
    assert [bytes((await client.next_frame()).data) for _ in many] == many


async def test_slow_reader_is_bounded_in_bytes_and_closed_with_1013(connect: Connect) -> None:
    client = await connect()
    client.send(frame(TEXT, b"burst"))
    await eventually(lambda: client.server.ended is not None)
    assert client.server.waiting < connection.MAX_WAITING_BYTES + 10_000
    frames = await client.frames()
    assert close_of(frames) == (1013, "reading too slowly")
    assert client.server.ended == close_of(frames)


async def test_client_that_reads_no_answers_is_not_read_from(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "FRAMES_PER_SECOND", 1e9)
    monkeypatch.setattr(connection, "BYTES_PER_SECOND", 1e12)
    client = await connect()
    client.send(frame(TEXT, b"x" * 1_000) * 20_000)
    await eventually(lambda: client.server.waiting > connection.HIGH_WATER_BYTES)
    await asyncio.sleep(0.2)  # time in which more would pile up
    assert client.server.waiting < 2 * connection.HIGH_WATER_BYTES
    assert client.server.ended is None
    for _ in range(20_000):
        assert len((await client.next_frame()).data) == 1_000


async def test_silent_client_is_pinged_and_then_closed(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEARTBEAT_SECONDS", 0.2)
    client = await connect()
    frames = await client.frames()
    assert frames[0].opcode is Opcode.PING
    assert close_of(frames) == (1011, "no answer to a ping")


async def test_client_that_answers_pings_stays(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEARTBEAT_SECONDS", 0.3)
    client = await connect()
    for _ in range(4):
        assert (await client.next_frame()).opcode is Opcode.PING
        client.send(frame(PONG))
    assert client.server.ended is None


async def test_server_that_stops_says_so(server: Server, connect: Connect) -> None:
    client = await connect()
    server.call(client.server.shutdown)
    assert close_of(await client.frames())[0] == CloseCode.SERVICE_RESTART


async def test_lost_connection_is_noticed(connect: Connect) -> None:
    client = await connect()
    client.writer.transport.abort()
    await eventually(lambda: client.server.ended is not None)
    assert client.server.connections == set()
