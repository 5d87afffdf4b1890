"""Upgrades to WebSocket (RFC 6455, 4.2): which requests are one, and the handshake.

A request that is not a valid upgrade of a declared route is answered over HTTP like any other, so a
refusal is a problem document with a status, in the log and in the metrics.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from abc import abstractmethod
from base64 import b64encode
from typing import Any, Protocol, cast

import httptools
from litestar.types import HTTPScope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chitlaq.core.http import problems
from chitlaq.core.telemetry import logs

VERSION = "13"

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
"""16 bytes in base64."""

_NOT_PARSED = "Its first line or its headers cannot be parsed."
_NO_BODY = "A request that offers an upgrade has no body."


class Upgraded(asyncio.Protocol):
    """A connection after its handshake; the server counts it until it is lost."""

    connections: set[Any]

    @abstractmethod
    def shutdown(self) -> None:
        """Close soon: the server stops."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections.discard(self)


class Sockets(Protocol):
    """The application, as far as it takes connections over."""

    def has_socket(self, path: str, scope: HTTPScope) -> bool:
        """Whether a WebSocket is declared at this path, and open to this request."""

    def open_socket(self, headers: list[tuple[bytes, bytes]]) -> Upgraded:
        """Return what takes a connection over after its handshake."""


class _BodyOfUpgradeError(Exception):
    """The parser ends a request that offers an upgrade at its headers: a body would be the next request."""


class UpgradingProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, but for upgrades, and for what it cannot parse."""

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                if self._should_upgrade():
                    self.handle_websocket_upgrade(data)
                    return
                # An upgrade that was not taken up: an ordinary request, and others may follow it.
            except httptools.HttpParserCallbackError as error:
                is_body = isinstance(error.__context__, _BodyOfUpgradeError)
                self.send_400_response(_NO_BODY if is_body else _NOT_PARSED)
                return
            except httptools.HttpParserError:
                self.send_400_response(_NOT_PARSED)
                return
            else:
                return

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade() and self._announces_body:
            raise _BodyOfUpgradeError
        super().on_headers_complete()

    @property
    def _announces_body(self) -> bool:
        return any(
            name == b"transfer-encoding"
            or (name == b"content-length" and value.strip(b"0 ") != b"")
            for name, value in self.headers
        )

    def _should_upgrade(self) -> bool:
        path, _, query = self.url.partition(b"?")
        return (
            not query
            and (self.cycle is None or self.cycle.response_complete)
            and self.parser.get_method() == b"GET"
            and self.parser.get_http_version() == "1.1"
            and self._get_upgrade() == b"websocket"
            and self._header(b"sec-websocket-version") == VERSION.encode()
            and _KEY.fullmatch(self._header(b"sec-websocket-key")) is not None
            and self._sockets.has_socket(path.decode("latin-1"), cast(HTTPScope, self.scope))
        )

    def handle_websocket_upgrade(self, early: bytes = b"") -> None:
        """Hand the connection over, with what the client sent before it had our answer."""
        key = self._header(b"sec-websocket-key")
        accepted = hashlib.sha1(key + _MAGIC, usedforsecurity=False).digest()
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + b64encode(accepted) + b"\r\n\r\n"
        )
        upgraded = self._sockets.open_socket(self.headers)
        upgraded.connections = self.connections
        self.connections.discard(self)
        self.transport.set_protocol(upgraded)
        upgraded.connection_made(self.transport)
        if early:
            upgraded.data_received(early)

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be parsed, a method that nobody knows for example."""
        logs.begin_request(logs.new_request_id())
        problem = problems.malformed(f"This is not a valid HTTP request. {msg}")
        body = problem.body()
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"
            b"Content-Type: %b\r\nX-Request-ID: %b\r\nContent-Length: %d\r\n\r\n%b"
            % (problems.MEDIA_TYPE.encode(), logs.request_id().encode(), len(body), body)
        )
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: a client may offer any upgrade, and gets the route's answer without it."""

    @property
    def _sockets(self) -> Sockets:
        return cast(Sockets, self.app)

    def _header(self, wanted: bytes) -> bytes:
        """A header's value; empty if it is missing or repeated."""
        values = [value for name, value in self.headers if name == wanted]
        return values[0] if len(values) == 1 else b""
