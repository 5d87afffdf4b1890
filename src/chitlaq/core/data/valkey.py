"""Valkey: its address, and a client that fails fast when the server is unavailable.

Everything in Valkey can be lost at any time: every caller works without it.

The client is our own, on hiredis' parser. All tasks of a process share one connection, and the
commands of one event-loop iteration leave in one write. A command costs 15 to 50 µs of Python;
redis-py 8.1 took 220 µs, valkey-py 6.2 and coredis 6.9 more, on a machine where a query through
asyncpg took 90 µs (docs/decisions/0002-own-valkey-client.md).
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Literal, cast
from urllib.parse import quote, unquote, urlsplit

import hiredis

from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import Secrets
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import tracing

CONNECT_SECONDS = 0.5
ANSWER_SECONDS = 0.5
WATCH_SECONDS = 0.1
# After a failed attempt to connect, commands fail at once for this long instead of trying again.
PAUSE_SECONDS = 0.2
# What a subscription may keep for a reader that falls behind. Valkey keeps up to 32 MB more.
MAX_PUSHED_BYTES = 8 * 1024 * 1024

Argument = str | bytes | int | float | memoryview
_Push = tuple[str, bytes]
"""A channel, and what was published in it."""
_PUSHED = (b"message", b"smessage")


class ValkeyUnavailableError(Exception):
    """Valkey is unreachable, or did not answer in time."""


class ValkeyReplyError(Exception):
    """Valkey refused a command; the message says why."""


UNAVAILABLE = (ValkeyUnavailableError, ValkeyReplyError)
"""The exceptions to catch in order to continue without Valkey."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens: a Unix socket's path, or host and port."""

    path: str | None
    host: str
    port: int
    username: str | None
    password: str | None = field(repr=False)
    database: int
    is_tls: bool


def url(settings: Settings, home: Home) -> str:
    """Return ``REDIS_URL``, or the URL of the embedded server's Unix socket."""
    if settings.redis_url:
        return settings.redis_url.reveal()
    return f"unix://:{quote(Secrets(home.secrets).redis_password)}@{home.redis_socket}"


def parse_url(text: str) -> Address:
    """Read ``redis://``, ``rediss://``, ``valkey://``, ``valkeys://`` and ``unix://`` URLs.

    Raises:
        ValueError: it is none of these.
    """
    parts = urlsplit(text)
    username = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    if parts.scheme == "unix":
        return Address(parts.path, "", 0, username, password, 0, is_tls=False)
    if parts.scheme not in {"redis", "rediss", "valkey", "valkeys"}:
        raise ValueError(f"not the URL of a Valkey or Redis server: {parts.scheme}://…")
    database = int(parts.path.strip("/") or 0)
    host, port = parts.hostname or "localhost", parts.port or 6379
    is_tls = parts.scheme in {"rediss", "valkeys"}
    return Address(None, host, port, username, password, database, is_tls)


def _ignore() -> None:
    return


class Valkey:
    """A connection that all tasks of this process share; it reconnects automatically."""

    def __init__(self, text: str) -> None:
        self._address = parse_url(text)
        self._connection: _Connection | None = None
        self._connecting = asyncio.Lock()
        self._failed_at = -PAUSE_SECONDS

    async def execute(self, *command: Argument) -> Any:
        """Send one command and return its answer: bytes, int, None, or a list of these.

        Raises:
            ValkeyUnavailableError: no connection, or no answer within `ANSWER_SECONDS`.
            ValkeyReplyError: Valkey refused the command.
        """
        connection = self._connection
        if connection is None or connection.is_lost:
            connection = await self._connect()
        with tracing.command(str(command[0])):
            return await connection.send(command)

    def post(self, *command: Argument) -> bool:
        """Send one command whose answer nobody waits for, if there is a connection; return whether."""
        connection = self._connection
        if connection is None or connection.is_lost:
            return False
        connection.send(command).add_done_callback(asyncio.Future.exception)
        return True

    async def run(self, script: Script, keys: Sequence[bytes], *arguments: Argument) -> Any:
        """Run a Lua script by its hash; send its text if Valkey does not know it yet."""
        try:
            return await self.execute("EVALSHA", script.sha, len(keys), *keys, *arguments)
        except ValkeyReplyError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
        return await self.execute("EVAL", script.text, len(keys), *keys, *arguments)

    async def messages(self, channel: str) -> AsyncGenerator[bytes]:
        """Yield the messages of a channel, as `subscribed` does."""
        async for _, message in self.subscribed("SUBSCRIBE", channel):
            yield message

    async def subscribed(
        self,
        command: Literal["SUBSCRIBE", "SSUBSCRIBE"],
        *channels: str,
        ready: Callable[[], None] = _ignore,
    ) -> AsyncGenerator[tuple[str, bytes]]:
        """Yield channels and messages, over a separate connection, until that is lost.

        A caller that falls behind by `MAX_PUSHED_BYTES` lets Valkey wait, which ends the subscription
        when its own buffer for it (`client-output-buffer-limit pubsub`) is full.

        Args:
            command: how to subscribe; sharded channels (``SSUBSCRIBE``) spread over the nodes of a cluster.
            channels: what to subscribe to.
            ready: called when nothing more that is published can be missed.

        Raises:
            ValkeyUnavailableError: the connection could not be made, or was lost.
        """
        connection = await _open(self._address)
        try:
            connection.pushed = pushed = _Pushed(connection)
            await asyncio.gather(*(connection.send((command, channel)) for channel in channels))
            ready()
            while (message := await pushed.get()) is not None:
                yield message
            raise ValkeyUnavailableError("the subscription's connection was lost")
        finally:
            connection.close()

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    async def _connect(self) -> _Connection:
        async with self._connecting:
            if self._connection is not None and not self._connection.is_lost:
                return self._connection
            if monotonic() - self._failed_at < PAUSE_SECONDS:
                raise ValkeyUnavailableError("Valkey was not reachable a moment ago")
            try:
                self._connection = await _open(self._address)
            except UNAVAILABLE:
                self._failed_at = monotonic()
                raise
            return self._connection


class Script:
    """A Lua script and the hash by which Valkey remembers it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


async def _open(address: Address) -> _Connection:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            if address.path is not None:
                _, connection = await loop.create_unix_connection(_Connection, address.path)
            else:
                context = ssl.create_default_context() if address.is_tls else None
                _, connection = await loop.create_connection(
                    _Connection, address.host, address.port, ssl=context
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


class _Pushed:
    """The messages of a subscription that wait for their reader, bounded in bytes."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._messages: asyncio.Queue[_Push | None] = asyncio.Queue()
        self._bytes = 0
        self._is_paused = False

    def put(self, message: _Push | None) -> None:
        """Add a message, or None for the end; at the bound, stop reading from Valkey."""
        self._messages.put_nowait(message)
        self._bytes += _size(message)
        if self._bytes >= MAX_PUSHED_BYTES and not self._is_paused:
            self._is_paused = True
            self._connection.pause(is_paused=True)

    async def get(self) -> _Push | None:
        message = await self._messages.get()
        self._bytes -= _size(message)
        if self._is_paused and self._bytes <= MAX_PUSHED_BYTES // 2:
            self._is_paused = False
            self._connection.pause(is_paused=False)
        return message


def _size(message: _Push | None) -> int:
    """What a waiting message takes, itself and its place in the queue."""
    return (len(message[1]) if message else 0) + 64


class _Connection(asyncio.Protocol):
    """One connection: commands go out in order, replies come back in the same order."""

    def __init__(self) -> None:
        self.is_lost = False
        self.pushed: _Pushed | None = None
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(replyError=ValkeyReplyError)
        self._asked: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._outgoing: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._watch: asyncio.TimerHandle | None = None

    def send(self, command: tuple[Argument, ...]) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = self._loop.create_future()
        if self.is_lost:
            answer.set_exception(ValkeyUnavailableError("the connection was lost"))
            return answer
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        packed = hiredis.pack_command(command)  # type: ignore[arg-type]
        self._outgoing.append(cast(bytes, packed))
        self._asked.append((answer, self._loop.time()))
        if self._watch is None:
            self._watch = self._loop.call_later(WATCH_SECONDS, self._check_oldest)
        return answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        self.connection_lost(None)

    def pause(self, *, is_paused: bool) -> None:
        """Read nothing more for a while, or again."""
        if self._transport is not None and not self._transport.is_closing():
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
                answer.set_exception(ValkeyUnavailableError(f"the connection was lost: {exc}"))
        self._asked.clear()
        if self.pushed is not None:
            self.pushed.put(None)

    def _receive(self, reply: Any) -> None:
        if self.pushed is not None and isinstance(reply, list) and reply[0] in _PUSHED:
            self.pushed.put((reply[1].decode(), reply[2]))
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
        if not self._asked:
            return
        if self._loop.time() - self._asked[0][1] > ANSWER_SECONDS:
            self.close()
        else:
            self._watch = self._loop.call_later(WATCH_SECONDS, self._check_oldest)


def connect(settings: Settings, home: Home) -> Valkey:
    """Return a client; it connects at its first command."""
    return Valkey(url(settings, home))
