"""Chat: one device, connected for as long as it runs.

Messages arrive in order and once, whatever dies in between; what is sent is sent until it is acknowledged or
refused. Conversations need not be listed: those that begin while the device is away are found.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import msgspec
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import WebSocketException

from chitlaq.client import frames
from chitlaq.client.errors import ApiError, UnreachableError
from chitlaq.client.frames import (
    Ack,
    AnnouncementEnded,
    ConversationChanged,
    Event,
    Failure,
    Gap,
    IsTyping,
    MessageChanged,
    NotificationRemoved,
    NotificationsGap,
    NotificationsRead,
    Notified,
    PostWritten,
    Presence,
    Read,
)
from chitlaq.client.outbox import Acknowledged, Outbox, Outgoing
from chitlaq.client.session import Session
from chitlaq.client.shapes import Message, Person
from chitlaq.client.streams import Deliver, Stream

CONNECT_SECONDS = 10.0
HEARTBEAT_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 15.0
# A new access token is fetched so long before the old one expires.
EARLY_SECONDS = 60.0
RESUMED_AT_ONCE = 1000
PAGE = 100
# What is not asked again for two minutes is told no longer.
WATCH_SECONDS = 60.0
MAX_WATCHED = 100
_BEGINNING = datetime.fromtimestamp(0, UTC)
_USERNAME = re.compile(r"[A-Za-z0-9_]{1,30}")


class _EndedError(Exception):
    """This connection is of no more use: make another."""


_LOST = (OSError, TimeoutError, WebSocketException, UnreachableError, _EndedError)


class Chat:
    """One device in all conversations of its member.

    Args:
        session: the member's.
        deliver: called with each message in order, once; one's own, too. What it raises ends the chat.
        seen: the number of the last message seen of each conversation, as `seen` said when this device was
            last connected. Without it, messages are delivered from now on.
        notified_until: the position of the last notification, as `notified_until` said. Without it,
            notifications are told from now on.
        on_event: called with all else that happens, such as a `MessageChanged` or a `Notified`.
        socket: the Unix socket to connect to, instead of the session's host and port.
    """

    def __init__(
        self,
        session: Session,
        deliver: Deliver,
        *,
        seen: Mapping[UUID, int] | None = None,
        notified_until: datetime | None = None,
        on_event: Callable[[Event], None] = lambda _: None,
        socket: Path | None = None,
    ) -> None:
        self._session = session
        self._deliver = deliver
        self._on_event = on_event
        self._path = socket
        self._is_new = seen is None
        self._streams = {one: Stream(seq, deliver) for one, seq in (seen or {}).items()}
        self._filling: dict[UUID, asyncio.Task[None]] = {}
        self._outbox = Outbox()
        self._me: Person | None = None
        self._unresumed = 0
        self._is_online = asyncio.Event()
        self._watched: Collection[str] = ()
        self.notified_until = notified_until
        """The position of the last notification that was told; None until that is known."""

    @property
    def seen(self) -> dict[UUID, int]:
        """The number of the last message that was delivered, for each conversation."""
        return {one: stream.seen for one, stream in self._streams.items()}

    @property
    def is_online(self) -> bool:
        """Whether what was missed has been asked for and answered, and what follows arrives as it is sent."""
        return self._is_online.is_set()

    async def online(self) -> None:
        """Wait until `is_online`."""
        await self._is_online.wait()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Self]:
        """Stay connected while the block runs; what ends the chat for good ends the block."""
        with _first_of_group():
            async with asyncio.TaskGroup() as group:
                running = group.create_task(self.run())
                try:
                    yield self
                finally:
                    running.cancel()

    async def run(self) -> None:
        """Stay connected until cancelled.

        Raises:
            SignedOutError: the session ended.
        """
        try:
            with _first_of_group():
                async with asyncio.TaskGroup() as self._tasks:
                    await self._stay_connected()
        finally:
            self._is_online.clear()
            self._outbox.give_up()

    async def send(
        self,
        conversation_id: UUID,
        text: str,
        *,
        reply_to: int | None = None,
        client_id: str | None = None,
        media_ids: Sequence[UUID] = (),
    ) -> Acknowledged:
        """Send a message, again and again until it is acknowledged.

        Messages of one conversation are stored in the order in which they were sent from here. Whoever stops
        waiting does not take back a message: it may be on its way.

        Args:
            client_id: by which it is recognised if an earlier run of the application sent it already.
            media_ids: pictures from `Session.upload`, four at most; with them the text may be empty.

        Raises:
            RefusedError: it is not stored, and will not be.
        """
        one = Outgoing(conversation_id, text, client_id or str(uuid4()), reply_to, media_ids)
        self._outbox.add(one)
        return await asyncio.shield(one.answer)

    def typing(self, conversation_id: UUID) -> None:
        """Say that one is typing: every three seconds while it is so. Nothing is said while offline."""
        if self.is_online:
            self._outbox.say(_frame(type="typing", conversation_id=conversation_id))

    def watch(self, usernames: Collection[str]) -> None:
        """Ask who of these is there, now and on each connection; replaces whom one watched before.

        Raises:
            ValueError: they are more than `MAX_WATCHED`, or one is no username.
        """
        if len(usernames) > MAX_WATCHED or not all(map(_USERNAME.fullmatch, usernames)):
            raise ValueError(f"name at most {MAX_WATCHED} people by their usernames")
        self._watched = usernames
        if self.is_online:
            self._outbox.say(_frame(type="watch", usernames=usernames))

    # Connections, one after the other.

    async def _stay_connected(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._prepare()
                await self._converse()
            except _LOST:
                pass
            except ApiError as error:
                await asyncio.sleep(error.retry_after_seconds)
            if self._is_online.is_set():
                pause = FIRST_PAUSE_SECONDS
            self._is_online.clear()
            # All clients of a server that restarts come back, but not at once.
            await asyncio.sleep(random.uniform(0, pause))  # noqa: S311 - no secret
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _prepare(self) -> None:
        """Find who one is, and the conversations that began since the last connection."""
        if self._me is None:
            with suppress(
                UnreachableError, ApiError
            ):  # Chat does not need the service that knows it.
                self._me = await self._session.me()
        async for one in self._session.conversations():
            stream = self._streams.get(one.id)
            if stream is None:
                self._add(one.id, one.last_seq if self._is_new else 0)
            elif one.last_seq <= stream.seen:
                break  # The rest was there before this one's last message.
        self._is_new = False
        if self.notified_until is None:
            latest = (await self._session.notifications(limit=1)).items
            self.notified_until = latest[0].updated_at if latest else _BEGINNING

    async def _converse(self) -> None:
        address = urlsplit(self._session.url)
        scheme = "wss" if address.scheme == "https" else "ws"
        url = address._replace(scheme=scheme, path=f"{address.path}/ws").geturl()
        options: dict[str, Any] = {
            "open_timeout": CONNECT_SECONDS,
            "ping_interval": HEARTBEAT_SECONDS,
            "ping_timeout": HEARTBEAT_SECONDS,
            "close_timeout": 1,
            "compression": None,
        }
        opening = (
            connect(url, proxy=None, **options)
            if self._path is None
            else unix_connect(str(self._path), url, **options)
        )
        async with opening as socket:
            beside = _Beside()
            try:
                await self._listen(socket, beside)
            finally:
                beside.end()
        raise _EndedError

    async def _listen(self, socket: ClientConnection, beside: _Beside) -> None:
        token = self._session.tokens.access
        await socket.send(_frame(type="auth", token=token))
        known = list(self.seen.items())
        starts = range(0, len(known), RESUMED_AT_ONCE) or (0,)
        self._unresumed = len(starts)
        since = self.notified_until
        for start in starts:
            part = {str(one): seq for one, seq in known[start : start + RESUMED_AT_ONCE]}
            await socket.send(_frame(type="resume", conversations=part, notifications=since))
            since = None
        async for text in socket:
            raw = text.encode() if isinstance(text, str) else text
            kind = frames.KINDS.get(msgspec.json.decode(raw, type=frames.Frame).type)
            match frame := msgspec.json.decode(raw, type=kind) if kind is not None else None:
                case Ack():
                    self._acknowledge(frame)
                case Failure():
                    await self._fail(frame, token)
                case Gap():
                    self._skip(frame)
                case frames.Resumed():
                    self._unresumed -= 1
                    if self._unresumed == 0:
                        self._go_online()
                        beside.start(self._send_forever(socket))
                        beside.start(self._watch_forever())
                case frames.SignedIn():
                    beside.start(self._renew(socket, frame.expires_at))
                case frames.Reconnect():
                    beside.start(_close_within(socket, frame.within_seconds))
                case (
                    MessageChanged()
                    | ConversationChanged()
                    | Read()
                    | IsTyping()
                    | Presence()
                    | PostWritten()
                    | Notified()
                    | NotificationRemoved()
                    | NotificationsRead()
                    | NotificationsGap()
                    | AnnouncementEnded()
                ):
                    self._note_position(frame)
                    self._on_event(frame)
                case Message():
                    self._receive(frame)

    def _go_online(self) -> None:
        self._is_online.set()
        self._outbox.restart()
        for conversation_id, stream in self._streams.items():
            self._fill_hole(conversation_id, stream)

    async def _send_forever(self, socket: ClientConnection) -> None:
        while True:
            await socket.send(await self._outbox.next())

    async def _watch_forever(self) -> None:
        while True:
            if self._watched:
                self.watch(self._watched)
            await asyncio.sleep(WATCH_SECONDS)

    async def _renew(self, socket: ClientConnection, expires_at: int) -> None:
        """Sign in anew before the token expires, so that nothing is missed."""
        if not self._session.tokens.refresh:
            return
        used = self._session.tokens.access
        left = expires_at - datetime.now(UTC).timestamp() - EARLY_SECONDS
        # Not in a loop if this machine's clock is wrong.
        await asyncio.sleep(max(left, EARLY_SECONDS / 2))
        await self._session.refresh(used)
        await socket.send(_frame(type="auth", token=self._session.tokens.access))

    # Frames.

    def _receive(self, message: Message) -> None:
        stream = self._stream(message.conversation_id)
        stream.receive(message)
        # Before everything was replayed, what is missing is still to come.
        if self.is_online:
            self._fill_hole(message.conversation_id, stream)

    def _acknowledge(self, ack: Ack) -> None:
        one = self._outbox.acknowledge(ack)
        if one is None:
            return
        if one.media_ids:
            # Read with its pictures, which this device knows by their ids only.
            stream = self._stream(ack.conversation_id)
            stream.target = max(stream.target, ack.seq)
            self._fill_hole(ack.conversation_id, stream)
            return
        self._receive(
            Message(
                conversation_id=ack.conversation_id,
                id=ack.id,
                seq=ack.seq,
                sender=self._me,
                text=one.text,
                sent_at=_moment(ack.id),
                reply_to=one.reply_to,
                client_id=one.client_id,
            )
        )

    async def _fail(self, failure: Failure, token: str) -> None:
        if failure.status == 401:
            await self._session.refresh(token)
            raise _EndedError
        if failure.client_id is None:
            raise _EndedError
        self._outbox.refuse(failure)

    def _skip(self, gap: Gap) -> None:
        stream = self._stream(gap.conversation_id)
        if gap.to_seq < gap.from_seq:
            stream.set_back(gap.to_seq)
        elif gap.to_seq <= stream.seen:
            self._on_event(gap)  # Of changes: the messages are known.
        stream.target = max(stream.target, gap.to_seq)

    def _note_position(self, event: Event) -> None:
        if isinstance(event, Notified | NotificationsGap):
            reached = (
                event.until
                if isinstance(event, NotificationsGap)
                else event.notification.updated_at
            )
            self.notified_until = max(self.notified_until or _BEGINNING, reached)

    # Streams.

    def _stream(self, conversation_id: UUID) -> Stream:
        """Return a conversation's stream; one that is unknown began just now."""
        return self._streams.get(conversation_id) or self._add(conversation_id, 0)

    def _add(self, conversation_id: UUID, seen: int) -> Stream:
        stream = self._streams[conversation_id] = Stream(seen, self._deliver)
        return stream

    def _fill_hole(self, conversation_id: UUID, stream: Stream) -> None:
        if stream.has_hole and conversation_id not in self._filling:
            task = self._tasks.create_task(self._fill(conversation_id, stream))
            self._filling[conversation_id] = task
            task.add_done_callback(lambda _: self._filling.pop(conversation_id))

    async def _fill(self, conversation_id: UUID, stream: Stream) -> None:
        """Read over HTTP what lies between what was seen and what has arrived."""
        pause = FIRST_PAUSE_SECONDS
        while stream.has_hole:
            target = stream.target
            try:
                page = await self._session.messages(conversation_id, after=stream.seen, limit=PAGE)
            except (UnreachableError, ApiError) as error:
                if isinstance(error, ApiError) and error.status == 404:
                    stream.fill((), target)  # One takes no part any more.
                    continue
                await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - no secret
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            else:
                stream.fill(page.items, None if page.has_later else target)


class _Beside:
    """Tasks beside a connection; what they fail in, the connection fails in, too."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        async def run() -> None:
            with suppress(*_LOST, ApiError):
                await work

        self._tasks.add(asyncio.create_task(run()))

    def end(self) -> None:
        for task in self._tasks:
            task.cancel()


async def _close_within(socket: ClientConnection, seconds: float) -> None:
    await asyncio.sleep(random.uniform(0, seconds))  # noqa: S311 - no secret
    await socket.close()


def _frame(**fields: object) -> str:
    return msgspec.json.encode(fields).decode()


def _moment(message_id: UUID) -> datetime:
    """The time in an id (UUIDv7, RFC 9562): an acknowledgement has no other."""
    return datetime.fromtimestamp((message_id.int >> 80) / 1000, UTC)


@contextmanager
def _first_of_group() -> Iterator[None]:
    """Raise what a group of tasks failed in, instead of the group."""
    try:
        yield
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
