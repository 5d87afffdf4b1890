"""Clients of chat for the benchmark: raw frames, as little work for each as can be.

The text of a message begins with the time at which it was due, so that whoever gets it knows how long it
took: all clients share one clock.
"""

from __future__ import annotations

import asyncio
import base64
import re
from array import array
from time import perf_counter
from typing import cast

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
# A mask of zeros leaves the payload as it is (RFC 6455, 5.3 wants a strong one against proxies).
MASK = b"\0\0\0\0"
# The server closes a connection that sends more than 50 frames a second.
FRAMES_PER_SECOND = 45.0
PADDING = "x" * 60
DUE_LENGTH = 15

_SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
_BIND = "urn:ietf:params:xml:ns:xmpp-bind"
_OPEN = (
    "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client'"
    " xmlns:stream='http://etherx.jabber.org/streams'>"
)
# What arrives after the sign-in: messages, presence, acknowledgements, and requests for ours.
_STANZA = re.compile(
    rb"<message.*?<body>(?P<due>[0-9.]{15}).*?</message>"
    rb"|<a [^>]*?h=['\"](?P<acknowledged>\d+)['\"][^>]*>"
    rb"|(?P<presence><presence.*?(?:</presence>|/>))"
    rb"|<r[ /][^>]*>",
    re.DOTALL,
)


def frame(payload: bytes) -> bytes:
    size = len(payload)
    head = bytes([0x81, 0x80 | size]) if size < 126 else b"\x81\xfe" + size.to_bytes(2)
    return head + MASK + payload


class Tally:
    def __init__(self) -> None:
        self.sent = 0
        self.delivered = 0
        self.latencies = array("d")
        self.errors: dict[str, int] = {}
        self.deadline = 0.0

    def fail(self, what: str) -> None:
        self.errors[what] = self.errors.get(what, 0) + 1


class Client(asyncio.Protocol):
    """One connection. ``ready`` is done when it is signed in.

    Args:
        tally: what is counted of all.
        is_paced: whether the load says when it sends; otherwise it sends as soon as it is answered.
        padding: what a message says beside its time.
    """

    def __init__(self, tally: Tally, *, is_paced: bool, padding: str) -> None:
        self._tally = tally
        self._is_paced = is_paced
        self._padding = padding
        self._buffer = b""
        self._number = 0
        self._sent_at = 0.0
        self._transport: asyncio.Transport
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def message(self, due: float) -> bytes:
        """Return a new message as it is sent; its text begins with the time at which it was due."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_result(None)
        if not self._tally.deadline or perf_counter() < self._tally.deadline:
            self._tally.fail("closed")

    def delivered(self, due: bytes) -> None:
        """A message has arrived whose text begins so."""
        self._tally.delivered += 1
        self._tally.latencies.append(perf_counter() - float(due))

    def answered(self) -> None:
        """Send the next, as soon as the server may take it."""
        now = perf_counter()
        if self._is_paced or now >= self._tally.deadline:
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
        self._transport.write(self.message(due))


class WebsocketClient(Client):
    """Args: an access token, unless the server knows no sign-in; the conversation to send to, if any."""

    def __init__(
        self,
        tally: Tally,
        token: str,
        conversation: str | None,
        *,
        is_paced: bool,
        padding: str = PADDING,
    ) -> None:
        super().__init__(tally, is_paced=is_paced, padding=padding)
        self._token = token
        self._head = f'{{"type":"send","conversation_id":"{conversation}","client_id":"'.encode()
        self._is_open = False
        self.ponged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the first ping is answered."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
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
            elif data[at] == 0x89:
                # The server closes connections that do not answer its pings.
                self._transport.write(
                    bytes([0x8A, 0x80 | length]) + MASK + data[start : start + length]
                )
            at = start + length
        self._buffer = data[at:]

    def _hear(self, text: bytes) -> None:
        # The type is the first field of every frame.
        kind = text[9:13]
        if kind == b"mess":
            at = text.index(b'"text":"') + 8
            self.delivered(text[at : at + DUE_LENGTH])
        elif kind == b'ack"':
            self.answered()
        elif kind == b"pong":
            self._tally.latencies.append(perf_counter() - self._sent_at)
            if not self.ponged.done():
                self.ponged.set_result(None)
        elif kind == b"sign":
            self.ready.set_result(None)
        elif kind == b"erro":
            self._tally.fail(text[:120].decode(errors="replace"))

    def message(self, due: float) -> bytes:
        said = f'{id(self)}-{self._number}","text":"{said_at(due)} {self._padding}"}}'
        return frame(self._head + said.encode())

    def ping(self) -> None:
        self._sent_at = perf_counter()
        self._transport.write(frame(b'{"type":"ping"}'))


class XmppClient(Client):
    """A client of XMPP with acknowledgements (XEP-0198).

    Args:
        tally, is_paced, padding: as of `Client`.
        user: on the host ``localhost``; the name is the password, too.
        peer: the user to send to.
    """

    def __init__(
        self, tally: Tally, user: str, peer: str, *, is_paced: bool, padding: str = PADDING
    ) -> None:
        super().__init__(tally, is_paced=is_paced, padding=padding)
        self._peer = peer
        login = base64.b64encode(f"\0{user}\0{user}".encode()).decode()
        # What is said next, as soon as this was heard.
        self._steps = [
            (b"</stream:features>", f"<auth xmlns='{_SASL}' mechanism='PLAIN'>{login}</auth>"),
            (b"<success", _OPEN),
            (b"</stream:features>", f"<iq type='set' id='b'><bind xmlns='{_BIND}'/></iq>"),
            (b"</iq>", "<enable xmlns='urn:xmpp:sm:3'/>"),
            (b"<enabled", "<presence/>"),
        ]
        self._received = 0
        self._acknowledged = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._transport.write(_OPEN.encode())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._steps:
            heard, said = self._steps[0]
            if heard in self._buffer:
                del self._steps[0]
                self._buffer = b""
                self._transport.write(said.encode())
                if not self._steps:
                    self.ready.set_result(None)
            elif b"<failure" in self._buffer or b"<stream:error" in self._buffer:
                self._tally.fail(self._buffer[-120:].decode(errors="replace"))
                self._transport.close()
            return
        end = 0
        for stanza in _STANZA.finditer(self._buffer):
            end = stanza.end()
            due, acknowledged = stanza["due"], stanza["acknowledged"]
            if due is not None:
                self._received += 1
                self.delivered(due)
            elif acknowledged is not None:
                # The first of what it counts was our presence.
                self._acknowledged = int(acknowledged) - 1
                if self._acknowledged == self._number:
                    self.answered()
            elif stanza["presence"] is not None:
                self._received += 1
            else:
                self._transport.write(f"<a xmlns='urn:xmpp:sm:3' h='{self._received}'/>".encode())
        self._buffer = self._buffer[end:]

    def message(self, due: float) -> bytes:
        return (
            f"<message to='{self._peer}@localhost' type='chat' id='m{self._number}'>"
            f"<body>{said_at(due)} {self._padding}</body></message><r xmlns='urn:xmpp:sm:3'/>"
        ).encode()


def said_at(due: float) -> str:
    """How a text begins."""
    return f"{due:0{DUE_LENGTH}.4f}"
