"""Clients of chat for the benchmark: raw frames, as little work for each as can be.

It runs as a separate process (``python -m chitlaq.bench.chat_load``, a `ChatLoad` as JSON on stdin, an
`Outcome` as JSON on stdout), as `load` does. The text of a message begins with the time at which it was due,
so that whoever gets it knows how long it took: all clients share one clock.
"""

from __future__ import annotations

import asyncio
import sys
import time
from array import array
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import cast

import msgspec
import psutil
import uvloop

from chitlaq.core.host import programs

HOST = "127.0.0.1"
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
# A mask of zeros leaves the payload as it is (RFC 6455, 5.3 wants a strong one against proxies).
MASK = b"\0\0\0\0"
# The server closes a connection that sends more than 50 frames a second.
FRAMES_PER_SECOND = 45.0
PADDING = "x" * 60
OPENED_AT_ONCE = 100
START_SECONDS = 180.0
# For what is still on its way at the end.
REST_SECONDS = 1.0


class ChatLoad(msgspec.Struct, frozen=True):
    """What to do.

    Args:
        tokens: one for each connection; empty for a server that knows no sign-in.
        conversations: of each connection that sends; those beyond only receive.
        per_second: messages of all together; 0: each sends as soon as it is answered.
        seconds: how long they send.
        pings: how many of the connections ping instead, once a second; their answers are timed.
        processes: of which the CPU time is measured, with their descendants, by name.
    """

    port: int
    tokens: Sequence[str]
    connections: int
    conversations: Sequence[str]
    per_second: float
    seconds: float
    pings: int = 0
    processes: Mapping[str, int] = {}


class Outcome(msgspec.Struct, frozen=True):
    """The result; latencies in milliseconds, from the moment a message was due to its delivery."""

    sent: int
    delivered: int
    seconds: float
    p50: float
    p95: float
    errors: dict[str, int]
    cpu_seconds: dict[str, float]
    memory_bytes: dict[str, int]
    """At the end, while all are connected (PSS)."""


def frame(payload: bytes) -> bytes:
    size = len(payload)
    head = bytes([0x81, 0x80 | size]) if size < 126 else b"\x81\xfe" + size.to_bytes(2)
    return head + MASK + payload


async def measure(load: ChatLoad) -> Outcome:
    """Run the clients in a separate process."""
    result = await programs.arun(
        [sys.executable, "-m", __name__],
        timeout_seconds=load.seconds + START_SECONDS,
        stdin=msgspec.json.encode(load),
    )
    return msgspec.json.decode(result.checked(), type=Outcome)


class _Tally:
    def __init__(self) -> None:
        self.sent = 0
        self.delivered = 0
        self.latencies = array("d")
        self.errors: dict[str, int] = {}
        self.deadline = 0.0

    def fail(self, what: str) -> None:
        self.errors[what] = self.errors.get(what, 0) + 1


class _Client(asyncio.Protocol):
    """One connection. ``ready`` is done when it is signed in."""

    def __init__(self, tally: _Tally, token: str, conversation: str | None, load: ChatLoad) -> None:
        self._tally = tally
        self._load = load
        self._token = token
        self._head = f'{{"type":"send","conversation_id":"{conversation}","client_id":"'.encode()
        self._sends = conversation is not None
        self._buffer = b""
        self._number = 0
        self._sent_at = 0.0
        self._transport: asyncio.Transport
        self._is_open = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(HANDSHAKE)

    def data_received(self, data: bytes) -> None:
        self._buffer = data = self._buffer + data if self._buffer else data
        at = 0
        if not self._is_open:
            at = data.find(b"\r\n\r\n") + 4
            if at < 4:
                return
            self._is_open = True
            if self._token:
                self._transport.write(
                    frame(b'{"type":"auth","token":"' + self._token.encode() + b'"}')
                )
            else:
                self.ready.set_result(None)
        size = len(data)
        while size - at >= 2:
            length, start = data[at + 1], at + 2
            if length == 126:
                length, start = int.from_bytes(data[at + 2 : at + 4]), at + 4
            if size < start + length:
                break
            if data[at] == 0x81:
                self._hear(data[start : start + length])
            at = start + length
        self._buffer = data[at:]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_result(None)
        if not self._tally.deadline or perf_counter() < self._tally.deadline:
            self._tally.fail("closed")

    def _hear(self, text: bytes) -> None:
        # The type is the first field of every frame.
        kind = text[9:13]
        if kind == b"mess":
            now = perf_counter()
            at = text.index(b'"text":"') + 8
            self._tally.delivered += 1
            self._tally.latencies.append(now - float(text[at : at + 15]))
        elif kind == b'ack"':
            if not self._load.per_second:
                self.answered()
        elif kind == b"pong":
            self._tally.latencies.append(perf_counter() - self._sent_at)
        elif kind == b"sign":
            self.ready.set_result(None)
        elif kind == b"erro":
            self._tally.fail(text[:120].decode(errors="replace"))

    def answered(self) -> None:
        """Send the next, as soon as the server may take it."""
        now = perf_counter()
        if now >= self._tally.deadline:
            return
        due = self._sent_at + 1 / FRAMES_PER_SECOND
        if due > now:
            asyncio.get_running_loop().call_later(due - now, self.send)
        else:
            self.send()

    def send(self) -> None:
        self.send_due(perf_counter())

    def send_due(self, due: float) -> None:
        self._number += 1
        self._sent_at = due
        self._tally.sent += 1
        self._transport.write(
            frame(
                self._head
                + f'{id(self)}-{self._number}","text":"{due:015.4f} {PADDING}"}}'.encode()
            )
        )

    def ping(self) -> None:
        self._sent_at = perf_counter()
        self._transport.write(frame(b'{"type":"ping"}'))


async def run(load: ChatLoad) -> Outcome:
    """Connect, say so, send, and wait for the last answers."""
    loop = asyncio.get_running_loop()
    tally = _Tally()
    clients: list[_Client] = []
    for number in range(load.connections):
        token = load.tokens[number % len(load.tokens)] if load.tokens else ""
        sends = number < len(load.conversations)
        client = _Client(tally, token, load.conversations[number] if sends else None, load)
        await loop.create_connection(lambda client=client: client, HOST, load.port)  # type: ignore[misc]
        clients.append(client)
        if number % OPENED_AT_ONCE == OPENED_AT_ONCE - 1:
            await asyncio.gather(*(one.ready for one in clients))
    await asyncio.gather(*(one.ready for one in clients))
    before = _cpu_seconds(load.processes)
    started = perf_counter()
    tally.deadline = started + load.seconds
    senders = clients[: len(load.conversations)]
    if load.pings:
        while perf_counter() < tally.deadline:
            for client in clients[-load.pings :]:
                client.ping()
                await asyncio.sleep(1 / load.pings)
    elif load.per_second:
        await _at_rate(senders, load.per_second, tally)
    else:
        for client in senders:
            client.send()
        await asyncio.sleep(load.seconds)
    seconds = perf_counter() - started
    sent, delivered = tally.sent, tally.delivered
    after = _cpu_seconds(load.processes)
    memory = {name: _memory(pid) for name, pid in load.processes.items()}
    await asyncio.sleep(REST_SECONDS)
    latencies = sorted(tally.latencies)

    def quantile(share: float) -> float:
        return round(latencies[int(share * (len(latencies) - 1))] * 1000, 2) if latencies else 0.0

    return Outcome(
        sent,
        delivered,
        seconds,
        quantile(0.5),
        quantile(0.95),
        tally.errors,
        {name: after[name] - before[name] for name in before},
        memory,
    )


def _cpu_seconds(processes: Mapping[str, int]) -> dict[str, float]:
    return {
        name: sum(sum(one.cpu_times()[:2]) for one in _family(pid))
        for name, pid in processes.items()
    } | {"clients": time.process_time()}


def _memory(pid: int) -> int:
    return sum(one.memory_full_info().pss for one in _family(pid))


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


async def _at_rate(senders: Sequence[_Client], per_second: float, tally: _Tally) -> None:
    """Send whether or not the last is answered: who is slow does not slow the measurement down."""
    started, number = perf_counter(), 0
    while (now := perf_counter()) < tally.deadline:
        while (due := started + number / per_second) <= now:
            senders[number % len(senders)].send_due(due)
            number += 1
        await asyncio.sleep(max(started + number / per_second - perf_counter(), 0.0005))


def main() -> None:
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=ChatLoad)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(run(load))))


if __name__ == "__main__":
    main()
