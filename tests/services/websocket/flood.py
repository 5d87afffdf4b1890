"""Floods of frames from a client that ignores what it is told: a program, so that it has a core of its own.

    python -m tests.services.websocket.flood KIND PORT SECONDS SOCKETS TOKEN

Prints `flooding`, and at the end one JSON object: the bytes that the server took, and how often it
closed a socket.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

MASK = b"\0\0\0\0"
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
CHUNK_FRAMES = 5_000


def frame(opcode: int, payload: bytes = b"", *, is_final: bool = True) -> bytes:
    """A client's frame; the mask is zero, so the payload is readable."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2)
    return bytes([(0x80 if is_final else 0) | opcode]) + length + MASK + payload


TEXT, BINARY, PING, PONG = 0x1, 0x2, 0x9, 0xA
QUIET = "nothing"
FLOODS: dict[str, tuple[bytes, bytes]] = {
    QUIET: (b"", b""),
    "pings": (b"", frame(PING)),
    "pings with payload": (b"", frame(PING, b"x" * 125)),
    "pongs": (b"", frame(PONG)),
    "empty continuations": (frame(TEXT, b"{", is_final=False), frame(0, is_final=False)),
    "continuations": (frame(TEXT, b"{", is_final=False), frame(0, b"x", is_final=False)),
    "empty texts": (b"", frame(TEXT)),
    "valid texts": (b"", frame(TEXT, b'{"type":"ping"}')),
    "sign-ins": (b"", frame(TEXT, b'{"type":"auth","token":"wrong"}')),
    "binaries": (b"", frame(BINARY, b"\xff" * 100)),
    "large texts": (b"", frame(TEXT, b'"' + b"x" * 8_000 + b'"')),
    "fragmented texts": (b"", frame(TEXT, b"[", is_final=False) + frame(0, b"]")),
}
"""By name: what is sent once, and what is sent for ever. Nothing is as busy, and sends nothing."""


class Attacker:
    """One socket after the other: floods, reads nothing, and comes back when it is closed."""

    def __init__(self, port: int, token: str, once: bytes, forever: bytes) -> None:
        self._port = port
        sign_in = frame(TEXT, json.dumps({"type": "auth", "token": token}).encode())
        self._begin = (sign_in if token else b"") + once
        self._chunk = forever * max(1, min(CHUNK_FRAMES, 200_000 // len(forever)))
        self.sent = 0
        self.outcomes: Counter[str] = Counter()

    def flood(self) -> Iterator[socket.socket]:
        """Send what the socket takes, and yield the socket whenever it takes no more."""
        while True:
            connection = socket.create_connection(("127.0.0.1", self._port), timeout=10)
            with suppress(OSError), connection:
                connection.sendall(HANDSHAKE)
                if b" 101 " not in connection.recv(4096):
                    self.outcomes["refused"] += 1
                    continue
                connection.sendall(self._begin)
                connection.setblocking(False)
                rest = memoryview(self._chunk)
                while True:
                    with suppress(BlockingIOError):
                        sent = connection.send(rest)
                        self.sent += sent
                        rest = rest[sent:] or memoryview(self._chunk)
                    yield connection
            self.outcomes["closed"] += 1


def main(kind: str, port: int, seconds: float, sockets: int, token: str) -> dict[str, object]:
    end = time.monotonic() + seconds
    if kind == QUIET:
        while time.monotonic() < end:
            sum(range(1000))
        return {}
    attackers = [Attacker(port, token, *FLOODS[kind]) for _ in range(sockets)]
    floods = [attacker.flood() for attacker in attackers]
    while time.monotonic() < end:
        ready = [next(flood) for flood in floods]
        select.select([], ready, [], 0.05)
    outcomes = sum((attacker.outcomes for attacker in attackers), Counter[str]())
    return {"bytes": sum(attacker.sent for attacker in attackers), **outcomes}


if __name__ == "__main__":
    print("flooding", flush=True)
    _, kind, port, seconds, sockets, token = sys.argv
    print(json.dumps(main(kind, int(port), float(seconds), int(sockets), token)))
