"""A load generator for loopback: keep-alive HTTP/1.1 in raw bytes, bounded in time and connections.

It runs as a separate process (``python -m chitlaq.bench.load``, a `Load` as JSON on stdin, an `Outcome`
as JSON on stdout), so that it shares no interpreter with what it measures. It does the least possible
work per request, less than any HTTP library: requests are built in advance, and only the status and the
length of a response are parsed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import re
import ssl
import sys
from array import array
from collections.abc import Sequence
from time import perf_counter
from typing import Annotated, cast

import msgspec
import uvloop

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import programs

GRACE_SECONDS = 15.0
"""How long responses may take after the end of the measurement."""

START_SECONDS = 30.0

NAME = "localhost"
"""What requests and certificates call the server."""

_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)
_NO_CONTENT = b"204"
_LAST_CHUNK = b"\r\n0\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class Load(msgspec.Struct, frozen=True):
    """What to send. Each connection cycles through the requests, starting at a different one.

    Without ``per_second`` a connection sends as soon as it has its answer; with it, all of them together send
    so many requests a second, and a request's time counts from when it was due.
    """

    host: str
    port: int
    requests: list[str]
    connections: Annotated[int, msgspec.Meta(ge=1, le=256)]
    seconds: Annotated[float, msgspec.Meta(gt=0, le=120)]
    per_second: Annotated[float, msgspec.Meta(gt=0)] | None = None
    authority: str | None = None
    """A file of certificates: the connections speak TLS and trust these."""


class Outcome(msgspec.Struct, frozen=True):
    """The result; latencies in milliseconds, of complete responses."""

    requests: int
    seconds: float
    per_second: float
    p50: float
    p95: float
    p99: float
    statuses: dict[str, int]
    broken: int
    """Connections that ended or became unreadable in the middle of a response."""


def get(target: str, token: str | None = None, agent: str = "") -> str:
    """Return a GET request as text, ready to be sent again and again."""
    headers = f"Authorization: Bearer {token}\r\n" if token else ""
    headers += f"User-Agent: {agent}\r\n" if agent else ""
    return f"GET {target} HTTP/1.1\r\nHost: {NAME}\r\nAccept: application/json\r\n{headers}\r\n"


def post(target: str, body: object, token: str | None = None) -> str:
    """Return a POST request with a JSON body as text, ready to be sent again and again."""
    text = msgspec.json.encode(body).decode()
    headers = f"Authorization: Bearer {token}\r\n" if token else ""
    return (
        f"POST {target} HTTP/1.1\r\nHost: {NAME}\r\nContent-Type: application/json\r\n{headers}"
        f"Content-Length: {len(text.encode())}\r\n\r\n{text}"
    )


def successful(outcome: Outcome, status: str = "200") -> Outcome:
    """Return an outcome without refusals: a fast error page is no result.

    Raises:
        OperatorError: there was another status, or a connection broke.
    """
    if set(outcome.statuses) != {status} or outcome.broken:
        raise OperatorError(
            f"The answers were {outcome.statuses or 'none'}, and {outcome.broken} connections broke:"
            " there is nothing to compare."
        )
    return outcome


async def measure(load: Load) -> Outcome:
    """Run the load generator in a separate process."""
    result = await programs.arun(
        [sys.executable, "-m", __name__],
        timeout_seconds=load.seconds + GRACE_SECONDS + START_SECONDS,
        stdin=msgspec.json.encode(load),
    )
    return msgspec.json.decode(result.checked(), type=Outcome)


class _Tally:
    """Totals over all connections."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.latencies = array("d")
        self.statuses: dict[bytes, int] = {}
        self.broken = 0


class _Connection(asyncio.Protocol):
    """One client that sends the next request as soon as the last response is complete."""

    def __init__(
        self,
        requests: Sequence[bytes],
        place: int,
        tally: _Tally,
        done: asyncio.Future[None],
        pause: float,
    ) -> None:
        self._pause = pause
        self._requests = requests
        self._place = place
        self._tally = tally
        self._done = done
        self._buffer = b""
        self._missing = 0
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but ancestry.
        self._transport = cast(asyncio.Transport, transport)
        # Spread over the time between two requests, as those of different people are.
        wait = self._pause * random.random()  # noqa: S311 - no secret
        asyncio.get_running_loop().call_later(wait, self._send, perf_counter() + wait)

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._buffer = data = self._buffer + data if self._buffer else data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                return
            length = _LENGTH.search(data, 0, end + 2)
            if length is not None:
                self._missing = end + 4 + int(length[1]) - len(data)
            elif data[9:12] == _NO_CONTENT:
                self._missing = end + 4 - len(data)
            elif _CHUNKED.search(data, 0, end + 2) is None:
                self._fail()
                return
            elif not data.endswith(_LAST_CHUNK):
                return
            status = data[9:12]
            statuses = self._tally.statuses
            statuses[status] = statuses.get(status, 0) + 1
            self._buffer = b""
        if self._missing < 0:
            self._fail()
        elif self._missing == 0:
            now = perf_counter()
            self._tally.latencies.append(now - self._sent_at)
            due = self._sent_at + self._pause if self._pause else now
            if max(now, due) >= self._tally.deadline:
                self._finish()
            elif due <= now:
                self._send(due)
            else:
                asyncio.get_running_loop().call_later(due - now, self._send, due)

    def _finish(self) -> None:
        assert self._transport is not None
        self._done.set_result(None)
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._tally.broken += 1
            self._done.set_result(None)

    def _send(self, due: float) -> None:
        """Send the next request, which was due then."""
        if self._done.done():
            return
        assert self._transport is not None
        requests = self._requests
        self._place = (self._place + 1) % len(requests)
        self._sent_at = due
        self._transport.write(requests[self._place])

    def _fail(self) -> None:
        """Give up after a response without a length, or longer than announced."""
        assert self._transport is not None
        self._transport.abort()


async def run(load: Load) -> Outcome:
    """Send the load and wait for the last responses.

    Raises:
        ValueError: the address is not a loopback address.
    """
    if not ipaddress.ip_address(load.host).is_loopback:
        raise ValueError(f"{load.host} is not a loopback address: only this machine is measured")
    loop = asyncio.get_running_loop()
    requests = [request.encode() for request in load.requests]
    pause = load.connections / load.per_second if load.per_second else 0.0
    tls = ssl.create_default_context(cafile=load.authority) if load.authority else None
    name = NAME if tls else None
    started = perf_counter()
    tally = _Tally(started + load.seconds)
    finished = []
    for number in range(load.connections):
        done: asyncio.Future[None] = loop.create_future()
        place = number * len(requests) // load.connections

        def connection(place: int = place, done: asyncio.Future[None] = done) -> _Connection:
            return _Connection(requests, place, tally, done, pause)

        await loop.create_connection(
            connection, load.host, load.port, ssl=tls, server_hostname=name
        )
        finished.append(done)
    _, hanging = await asyncio.wait(finished, timeout=load.seconds + GRACE_SECONDS)
    seconds = perf_counter() - started
    latencies = sorted(tally.latencies)

    def quantile(share: float) -> float:
        return round(latencies[int(share * (len(latencies) - 1))] * 1000, 3) if latencies else 0.0

    return Outcome(
        requests=len(latencies),
        seconds=round(seconds, 3),
        per_second=round(len(latencies) / seconds, 1),
        p50=quantile(0.50),
        p95=quantile(0.95),
        p99=quantile(0.99),
        statuses={status.decode(): count for status, count in sorted(tally.statuses.items())},
        broken=tally.broken + len(hanging),
    )


def main() -> None:
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(run(load))))


if __name__ == "__main__":
    main()
