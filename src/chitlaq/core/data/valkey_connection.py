"""One Valkey server: its address, and a connection to it that fails fast and reconnects."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, cast
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import hiredis

CONNECT_SECONDS = 0.5
ANSWER_SECONDS = 0.5
WATCH_SECONDS = 0.1
# After a failed attempt to connect, commands fail at once for this long instead of trying again.
PAUSE_SECONDS = 0.2
# What a subscription may keep for a reader that falls behind. Valkey keeps up to 32 MB more.
MAX_PUSHED_BYTES = 8 * 1024 * 1024
PORT = 6379
SENTINEL_PORT = 26379

Argument = str | bytes | int | float | memoryview
Command = tuple[Argument, ...]
_Push = tuple[str, bytes]
"""A channel, and what was published in it."""

_SCHEMES = ("redis", "rediss", "valkey", "valkeys")
_CLUSTER = "-cluster"
_SENTINEL = "-sentinel"


WRITE_PROBE = ("EVAL", "#!lua\nreturn 1", "0")
"""A script that does not say that it only reads is refused wherever a write would be, and needs no key:
so every node of a cluster takes it. `PING` is answered also by a replica, and with a full memory."""

REFUSALS = {
    "READONLY": "it is a replica of another server",
    "OOM": "its memory is full, and its policy evicts nothing",
    "MISCONF": "it could not save to its disk",
    "NOREPLICAS": "too few replicas are connected",
}
"""Why a server answers and takes no writes, by the first word of its error."""


class ValkeyUnavailableError(Exception):
    """Valkey is unreachable, or did not answer in time."""


class ValkeyReplyError(Exception):
    """Valkey refused a command; the message says why."""


def pack(command: Command) -> bytes:
    """Return a command as it is sent."""
    return cast(bytes, hiredis.pack_command(command))  # type: ignore[arg-type]


def refusal(error: str) -> str:
    """Return what an error to a write means."""
    why = REFUSALS.get(error.partition(" ")[0])
    return f"refuses writes, since {why}" if why else error


@dataclass(frozen=True, slots=True)
class Tls:
    """Whom to trust, and what to show to servers that ask who connects: files (PEM)."""

    authorities: str = ""
    """Default: the machine's own store."""
    certificate: str = ""
    key: str = ""
    """Default: it is in the file of the certificate."""

    def context(self) -> ssl.SSLContext:
        """Return a context of these files as they are now: they may have been renewed.

        Raises:
            OSError: one cannot be read, or is no certificate or key.
        """
        made = ssl.create_default_context(cafile=self.authorities or None)
        if self.certificate:
            made.load_cert_chain(self.certificate, self.key or None)
        return made


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens: a Unix socket's path, or host and port."""

    path: str | None
    host: str
    port: int
    username: str | None
    password: str | None = field(repr=False)
    database: int
    tls: Tls | None

    @property
    def name(self) -> str:
        """What operators call it."""
        return self.path or f"{self.host}:{self.port}"


def parse_url(text: str) -> Address:
    """Read ``redis://``, ``rediss://``, ``valkey://``, ``valkeys://`` and ``unix://`` URLs.

    Those with an ``s`` are over TLS; ``ssl_ca_certs``, ``ssl_certfile`` and ``ssl_keyfile`` name files, as
    for other clients.

    Raises:
        ValueError: it is none of these.
    """
    parts = urlsplit(text)
    if parts.scheme == "unix":
        return Address(unquote(parts.path), "", 0, *_credentials(parts), 0, tls=None)
    if parts.scheme not in _SCHEMES:
        raise ValueError(f"not the URL of a Valkey or Redis server: {parts.scheme}://…")
    return _address(parts)


def parse_cluster_url(text: str) -> Sequence[Address]:
    """Read the URL of a cluster, such as ``valkey-cluster://:secret@one:6379?node=two:6379&node=three:6379``.

    Returns:
        Some of its nodes, which name the others; empty if it is the URL of one server.

    Raises:
        ValueError: it names a database, of which a cluster has one.
    """
    nodes = _nodes(urlsplit(text), _CLUSTER, PORT)
    if nodes and nodes[0].database:
        raise ValueError("a cluster has no databases but 0")
    return nodes


def parse_sentinel_url(text: str) -> tuple[Sequence[Address], str]:
    """Read the URL of Sentinels: ``valkey-sentinel://:secret@one:26379?node=two:26379&name=chitlaq``.

    Returns:
        The Sentinels and the name of what they watch; empty if it is the URL of something else.

    Raises:
        ValueError: it names a database, which would be the Sentinels' own, or nothing to watch.
    """
    parts = urlsplit(text)
    nodes = _nodes(parts, _SENTINEL, SENTINEL_PORT)
    name = parse_qs(parts.query).get("name", [""])[0]
    if nodes and nodes[0].database:
        raise ValueError("Sentinels have no databases but 0")
    if nodes and not name:
        raise ValueError("Sentinels watch something by a name, such as ?name=chitlaq")
    return nodes, name


def _nodes(parts: SplitResult, kind: str, port: int) -> Sequence[Address]:
    scheme = parts.scheme.removesuffix(kind)
    if scheme == parts.scheme or scheme not in _SCHEMES:
        return ()
    first = _address(parts._replace(scheme=scheme), port)
    hosts = [urlsplit(f"{scheme}://{node}") for node in parse_qs(parts.query).get("node", ())]
    return [
        first,
        *(replace(first, host=one.hostname or "", port=one.port or port) for one in hosts),
    ]


def _address(parts: SplitResult, default_port: int = PORT) -> Address:
    database = int(parts.path.strip("/") or 0)
    host, port = parts.hostname or "localhost", parts.port or default_port
    tls = _tls(parts) if parts.scheme in {"rediss", "valkeys"} else None
    return Address(None, host, port, *_credentials(parts), database, tls)


def _tls(parts: SplitResult) -> Tls:
    given = parse_qs(parts.query)
    return Tls(
        *(given.get(name, [""])[0] for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"))
    )


def _credentials(parts: SplitResult) -> tuple[str | None, str | None]:
    return (
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
    )


class Server:
    """One server, and the connection to it that all tasks of this process share."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()
        self._failed_at = -PAUSE_SECONDS

    async def execute(self, command: Command) -> Any:
        """Send a command, and return its answer.

        Raises:
            ValkeyUnavailableError, ValkeyReplyError: it is not there, or refuses.
        """
        return await (self.connection or await self._connect()).send(command)

    async def execute_asking(self, command: Command) -> Any:
        """Send a command to the node that imports its slot, and need not have said so (``ASK``)."""
        connection = self.connection or await self._connect()
        _ignore(connection.send(("ASKING",)))
        return await connection.send(command)

    def post(self, command: Command) -> bool:
        """Send a command whose answer nobody waits for, if there is a connection; return whether."""
        if (connection := self.connection) is None:
            return False
        _ignore(connection.send(command))
        return True

    def together(self, keys: Sequence[bytes]) -> Sequence[Sequence[bytes]]:
        """Group keys by what one command may have: all."""
        return [keys]

    async def serving(self, channels: Sequence[str]) -> dict[Server, Sequence[str]]:
        """Group channels by the server that serves them."""
        return {self: channels}

    async def servers(self) -> Sequence[Server]:
        return [self]

    def doubt(self) -> None:
        """There is no other server."""

    @property
    def connection(self) -> Connection | None:
        """The connection, if it is there."""
        connection = self._connection
        return None if connection is None or connection.is_lost else connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    async def _connect(self) -> Connection:
        async with self._connecting:
            if (connection := self.connection) is not None:
                return connection
            if monotonic() - self._failed_at < PAUSE_SECONDS:
                raise ValkeyUnavailableError("Valkey was not reachable a moment ago")
            try:
                self._connection = await open_connection(self.address)
            except (ValkeyUnavailableError, ValkeyReplyError):
                self._failed_at = monotonic()
                raise
            return self._connection


async def open_connection(address: Address) -> Connection:
    """Open a connection.

    Raises:
        ValkeyUnavailableError: the server is not reachable, or does not answer.
        ValkeyReplyError: it refuses the password, or has no such database.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            if address.path is not None:
                _, connection = await loop.create_unix_connection(Connection, address.path)
            else:
                context = address.tls.context() if address.tls else None
                _, connection = await loop.create_connection(
                    Connection, address.host, address.port, ssl=context
                )
            if address.password is not None:
                name = (address.username,) if address.username else ()
                await connection.send(("AUTH", *name, address.password))
            if address.database:
                await connection.send(("SELECT", address.database))
    except TimeoutError as error:
        raise ValkeyUnavailableError(f"no answer within {CONNECT_SECONDS:g} s") from error
    except OSError as error:
        raise ValkeyUnavailableError(f"not reachable: {error}") from error
    return connection


class Pushed:
    """The messages of a subscription that wait for their reader, bounded in bytes.

    It has a connection to each server that serves one of its channels, and ends with the first of them.
    """

    def __init__(self) -> None:
        self._connections: list[Connection] = []
        self._messages: asyncio.Queue[_Push | None] = asyncio.Queue()
        self._bytes = 0
        self._is_paused = False

    def take_from(self, connection: Connection) -> None:
        self._connections.append(connection)
        connection.pushed = self

    def put(self, message: _Push | None) -> None:
        """Add a message, or None for the end; at the bound, stop reading from Valkey."""
        self._messages.put_nowait(message)
        self._bytes += _size(message)
        if self._bytes >= MAX_PUSHED_BYTES and not self._is_paused:
            self._pause(is_paused=True)

    async def get(self) -> _Push | None:
        message = await self._messages.get()
        self._bytes -= _size(message)
        if self._is_paused and self._bytes <= MAX_PUSHED_BYTES // 2:
            self._pause(is_paused=False)
        return message

    def ping(self) -> None:
        """Ask whether the servers are there: a connection that does not answer is lost."""
        for connection in self._connections:
            _ignore(connection.send(("PING",)))

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    def _pause(self, *, is_paused: bool) -> None:
        self._is_paused = is_paused
        for connection in self._connections:
            connection.pause(is_paused=is_paused)


def _size(message: _Push | None) -> int:
    """What a waiting message takes, itself and its place in the queue."""
    return (len(message[1]) if message else 0) + 64


def _ignore(answer: asyncio.Future[Any]) -> None:
    answer.add_done_callback(asyncio.Future.exception)


class Connection(asyncio.Protocol):
    """One connection: commands go out in order, replies come back in the same order."""

    def __init__(self) -> None:
        self.is_lost = False
        self.pushed: Pushed | None = None
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(replyError=ValkeyReplyError)
        # By a clock that stands while this process is too busy to look: its own delay is not the server's.
        self._asked: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._due = self._late = 0.0
        self._outgoing: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._is_paused = False

    def send(self, command: Command) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = self._loop.create_future()
        if self.is_lost:
            answer.set_exception(ValkeyUnavailableError("the connection was lost"))
            return answer
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(pack(command))
        self._asked.append((answer, self._loop.time() - self._late))
        if self._watch is None:
            self._look_later()
        return answer

    def close(self, fault: Exception | None = None) -> None:
        if self._transport is not None:
            self._transport.abort()
        self.connection_lost(fault)

    def pause(self, *, is_paused: bool) -> None:
        """Read nothing more for a while, or again."""
        if self._transport is not None and not self._transport.is_closing():
            self._is_paused = is_paused
            (self._transport.pause_reading if is_paused else self._transport.resume_reading)()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                self._receive(reply)
        except hiredis.ProtocolError:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.is_lost:
            return
        self.is_lost = True
        if self._watch is not None:
            self._watch.cancel()
        for answer, _ in self._asked:
            if not answer.done():
                why = f": {exc}" if exc else ""
                answer.set_exception(ValkeyUnavailableError(f"the connection was lost{why}"))
        self._asked.clear()
        if self.pushed is not None:
            self.pushed.put(None)

    def _receive(self, reply: Any) -> None:
        if self.pushed is not None and isinstance(reply, list):
            if reply[0] == b"smessage":
                self.pushed.put((reply[1].decode(), reply[2]))
                return
            if reply[0] == b"sunsubscribe":
                # The channel's slot has moved to another node of the cluster.
                self.close()
                return
        answer, _ = self._asked.popleft()
        if answer.done():
            return
        if isinstance(reply, ValkeyReplyError):
            answer.set_exception(reply)
        else:
            answer.set_result(reply)

    def _flush(self) -> None:
        if self._transport is not None and not self.is_lost:
            self._transport.write(b"".join(self._outgoing))
        self._outgoing.clear()

    def _check_oldest(self) -> None:
        """Close the connection if its oldest command waits too long; one timer serves them all."""
        self._watch = None
        now = self._loop.time()
        # The command may not even have been written meanwhile.
        self._late += max(now - self._due, 0.0)
        if not self._asked:
            return
        if self._is_paused or now - self._late - self._asked[0][1] <= ANSWER_SECONDS:
            self._look_later()
        else:
            self.close(TimeoutError(f"no answer within {ANSWER_SECONDS:g} s"))

    def _look_later(self) -> None:
        self._due = self._loop.time() + WATCH_SECONDS
        self._watch = self._loop.call_at(self._due, self._check_oldest)
