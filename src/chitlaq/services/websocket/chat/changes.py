"""Changes: what happens to messages and conversations after they were sent, on every device.

A change of a message is published by name only. Each process reads how the message is now and sends that to
its readers, one after the other: a later state never comes before an earlier one, and what changes many times
in a moment is sent once. What concerns few people and is small (`Signal`) is published as it is sent.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.http import problems
from chitlaq.core.telemetry import logs
from chitlaq.services.websocket.chat.frames import ConversationChanged, MessageChanged, Read
from chitlaq.services.websocket.chat.stored import Place, Stored
from chitlaq.services.websocket.chat.streams import COMMIT_SECONDS, RETRY_SECONDS, Streams
from chitlaq.services.websocket.sockets import frames
from chitlaq.services.websocket.sockets.hub import Hub

AT_ONCE = 100
# How long a change waits for its message, which another process has published and this one not heard yet.
ORDER_SECONDS = 0.02
REMEMBERED = 10_000
MAX_RECEIPTS = 31
"""Others who hear live how far somebody has read; where more take part, they ask for the conversation."""

log = logs.get("changes")


class Signal(msgspec.Struct, frozen=True, array_like=True):
    """A frame for some members, wherever they are connected.

    Args:
        about: a conversation or an account; signals about the same arrive in order.
        audience: the members.
        kind: the frame's type.
        frame: as it is sent.
        is_repaired: a lost one must be noticed, and read from PostgreSQL.
    """

    about: UUID
    audience: Sequence[UUID]
    kind: str
    frame: bytes
    is_repaired: bool = False


class Changes:
    def __init__(self, database: Database, hub: Hub, streams: Streams) -> None:
        self._database = database
        self._hub = hub
        self._streams = streams
        self._waiting: dict[Place, None] = {}
        self._is_waiting = asyncio.Event()
        self._sent: OrderedDict[Place, datetime] = OrderedDict()
        self._told: dict[UUID, int] = {}
        self._marked: dict[tuple[UUID, UUID], int] = {}
        streams.repairers.append(self._repair)
        self.publish: Callable[[UUID, Sequence[Place], Sequence[Signal]], None] = lambda *_: None
        """Tells other processes; set by the exchange."""
        self.look: Callable[[UUID, UUID, Sequence[UUID] | None], Awaitable[None]] = _nothing
        """Runs a job that looks at what is told of a conversation, to these members; set by the service."""

    def changed(self, place: Place) -> None:
        """A change of a message was committed: send it, here and in other processes."""
        self.receive([place])
        self.publish(place.conversation_id, [place], ())

    def tell(
        self,
        about: UUID,
        audience: Collection[UUID],
        frame: msgspec.Struct,
        *,
        is_repaired: bool = False,
    ) -> None:
        """Send a frame to members, here and in other processes."""
        if audience:
            signal = Signal(
                about, list(audience), frames.type_of(frame), frames.encode(frame), is_repaired
            )
            self.hear(signal)
            self.publish(about, (), [signal])

    async def announce(
        self, conversation_id: UUID, left: UUID | None = None, only: UUID | None = None
    ) -> None:
        """Tell everybody whom it concerns, and who has just left, that a conversation is another now.

        Args:
            conversation_id: the conversation.
            left: who takes part no longer.
            only: the one member whom it concerns.
        """
        try:
            row = await self._database.row("concerned", conversation_id, left)
        except PostgresUnavailableError:
            self._streams.suspect()
            return
        if row is not None:
            audience = [only] if only is not None else row["audience"]
            frame = ConversationChanged(conversation_id, row["version"])
            self.tell(conversation_id, audience, frame, is_repaired=True)

    async def mark_read(self, member: UUID, conversation_id: UUID, seq: int) -> None:
        """Mark what was said up to a number as read, on all devices, and tell others if both show that.

        A lower number than before changes nothing.

        Raises:
            Problem: 404 if the member takes no part in the conversation.
        """
        try:
            async with self._database.session() as session:
                row = await session.row(
                    "mark_read", member, conversation_id, seq, MAX_RECEIPTS, logs.request_id()
                )
        except PostgresUnavailableError:
            self._streams.suspect()
            raise
        if row is None:
            raise problems.not_found("conversation")
        for audience, frame in _receipts(row):
            self.tell(conversation_id, audience, frame, is_repaired=True)
        if row["job_id"] is not None:
            await self.look(row["job_id"], conversation_id, [member])

    async def mark_unread(self, member: UUID, conversation_id: UUID, seq: int) -> None:
        """Mark a message and what follows it as unread, on all devices; nobody else is told.

        Raises:
            Problem: 404 if the member takes no part in the conversation.
        """
        try:
            async with self._database.session() as session:
                row = await session.row("mark_unread", member, conversation_id, seq)
        except PostgresUnavailableError:
            self._streams.suspect()
            raise
        if row is None:
            raise problems.not_found("conversation")
        for audience, frame in _receipts(row):
            self.tell(conversation_id, audience, frame, is_repaired=True)

    def receive(self, places: Iterable[Place]) -> None:
        """These messages were changed, by any process."""
        self._waiting |= dict.fromkeys(places)
        if self._waiting:
            self._is_waiting.set()

    def hear(self, signal: Signal) -> None:
        """Send what any process tells members to those who are connected here."""
        self._hub.send_encoded(signal.audience, signal.kind, signal.frame)

    async def send_forever(self) -> None:
        """Send changed messages, while the process runs."""
        while True:
            await self._is_waiting.wait()
            places = list(self._waiting)[:AT_ONCE]
            for place in places:
                del self._waiting[place]
            try:
                early = await self._send(places)
            except PostgresUnavailableError as error:
                log.warning("changes wait", error=str(error))
                self._waiting |= dict.fromkeys(places)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self._waiting |= dict.fromkeys(early)
            if not self._waiting:
                self._is_waiting.clear()
            elif early:
                await asyncio.sleep(ORDER_SECONDS)

    async def _send(self, places: Sequence[Place]) -> list[Place]:
        """Send how these messages are now; return those of which the message itself was not sent yet."""
        early = []
        readers: defaultdict[UUID, list[tuple[UUID, int]]] = defaultdict(list)
        rows = await self._database.rows(
            "messages_named", *map(list, zip(*places, strict=True)), COMMIT_SECONDS
        )
        # Asked later: who was removed gets no text from after that.
        conversations = list({place.conversation_id for place in places})
        for conversation_id, *reader in await self._database.rows("joined", conversations):
            readers[conversation_id].append(tuple(reader))
        for row in rows:
            place, changed_at = Place(row["conversation_id"], row["seq"]), row["changed_at"]
            known = self._sent.get(place)
            if changed_at is None or (known is not None and changed_at <= known):
                continue
            if not self._streams.has_delivered(*place, is_recent=row["is_recent"]):
                early.append(place)
                continue
            self._put(Stored.of(row), readers[place.conversation_id])
            self._sent[place] = changed_at
            self._sent.move_to_end(place)
            if len(self._sent) > REMEMBERED:
                self._sent.popitem(last=False)
        return early

    def _put(self, stored: Stored, readers: Iterable[tuple[UUID, int]]) -> None:
        seq = stored.message.seq
        encoded: dict[Hashable, bytes] = {}
        for account, after in readers:
            sockets = self._hub.sockets(account) if seq > after else ()
            if not sockets:
                continue
            variant = stored.variant(account)
            frame = encoded.get(variant)
            if frame is None:
                frame = encoded[variant] = encoded_change(stored, account)
            for socket in sockets:
                socket.put_change("message_changed", frame)

    async def _repair(self, seconds: float) -> None:
        rows = await self._database.rows("recently_changed_messages", seconds)
        changed = {Place(conversation_id, seq): at for conversation_id, seq, at in rows}
        self.receive(place for place, at in changed.items() if at != self._sent.get(place))
        rows = await self._database.rows("recently_changed_conversations", seconds)
        told = {row["id"]: row["version"] for row in rows}
        for row in rows:
            if self._told.get(row["id"]) != row["version"]:
                self._hub.send(row["audience"], ConversationChanged(row["id"], row["version"]))
        self._told = told
        rows = await self._database.rows("recently_moved_markers", seconds)
        marked = {(conversation_id, account): seq for conversation_id, account, seq in rows}
        moved = [key for key, seq in marked.items() if self._marked.get(key) != seq]
        columns = map(list, zip(*moved, strict=True)) if moved else ([], [])
        for row in await self._database.rows("markers", *columns, MAX_RECEIPTS):
            for audience, frame in _receipts(row):
                self._hub.send(audience, frame)
        self._marked = marked


async def _nothing(*_: object) -> None:
    pass


def _receipts(row: Any) -> Iterator[tuple[Sequence[UUID], Read]]:
    """Yield whom to tell how far somebody has read, and what."""
    conversation_id, account, username, seq, unread, audience, *_ = row
    yield [account], Read(conversation_id, username, seq, unread)
    yield audience or (), Read(conversation_id, username, seq)


def encoded_change(stored: Stored, reader: UUID) -> bytes:
    """Return the frame of a changed message, as this reader sees it."""
    return frames.encode_as(MessageChanged, stored.seen_by(reader))
