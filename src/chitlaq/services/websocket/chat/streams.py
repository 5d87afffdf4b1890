"""Streams: what this process delivers of each conversation, in order and without gaps.

A stream exists for each conversation of which something was delivered lately. It knows the number that was
delivered last, and who may read which numbers. What follows that number is delivered at once. Anything else
waits until what is missing has been read from PostgreSQL.

A new stream begins with what was sent in the last `COMMIT_SECONDS`: the first message that is heard need not
be the first that was sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.telemetry import logs
from chitlaq.services.websocket import metrics
from chitlaq.services.websocket.chat.frames import Ack, MessageFrame
from chitlaq.services.websocket.chat.schemas import Message
from chitlaq.services.websocket.chat.stored import Stored
from chitlaq.services.websocket.sockets import frames
from chitlaq.services.websocket.sockets.hub import Hub
from chitlaq.services.websocket.sockets.socket import Socket

READ_AT_ONCE = 100
RETRY_SECONDS = 0.5
# PostgreSQL may be gone meanwhile, or others may say more and more.
SETTLED_SECONDS = 1.0
# A transaction that numbered a message commits within this time, or is given up.
COMMIT_SECONDS = 20
# A stream is forgotten after this time without a message; it must outlive `COMMIT_SECONDS`.
KEPT_SECONDS = 600.0

log = logs.get("chat")


class Delivery(NamedTuple):
    """A committed message on its way to those who may read it.

    Args:
        stored: the message.
        version: of who takes part, when it was numbered; 0 if older than what the stream knows.
        origin: the socket of this process that sent it, which gets an acknowledgement in its place.
        arrived_at: Unix time at which it arrived from its sender; 0 if it was read from PostgreSQL.
    """

    stored: Stored
    version: int
    origin: Socket | None = None
    arrived_at: float = 0.0


class _Window(NamedTuple):
    """The numbers that one may read: after the first, up to the last (None: and all to come)."""

    after: int
    until: int | None


class _Stream:
    __slots__ = (
        "delivered",
        "is_begun",
        "reading",
        "target",
        "used_at",
        "version",
        "waiting",
        "windows",
    )

    def __init__(self, delivered: int | None) -> None:
        self.delivered = delivered or 0
        self.is_begun = delivered is not None
        self.target = self.delivered
        self.version = 0
        self.windows: Mapping[UUID, _Window] = {}
        self.waiting: dict[int, Delivery] = {}
        self.reading: asyncio.Task[None] | None = None
        self.used_at = time.monotonic()


class Streams:
    def __init__(self, database: Database, hub: Hub) -> None:
        self._database = database
        self._hub = hub
        self._streams: dict[UUID, _Stream] = {}
        self._repairing: asyncio.Task[None] | None = None
        self._is_suspect = False
        # When everything was heard last. Of this process: PostgreSQL reckons back from its own clock.
        self._complete_at = time.monotonic()
        self.publish: Callable[[Sequence[Delivery]], None] = lambda _: None
        """Tells other processes; set by the exchange."""
        self.warn: Callable[[], None] = lambda: None
        """Tells other processes that something may have been committed and not published."""
        self.repairers: list[Callable[[float], Awaitable[None]]] = []
        """Each sends what else was changed in the last seconds; added by changes and notifications."""

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Deliver what this process has committed, here and to other processes."""
        self.receive(deliveries)
        self.publish(deliveries)

    def receive(self, deliveries: Iterable[Delivery]) -> None:
        """Deliver what was committed, by any process, to the sockets of this one."""
        for delivery in deliveries:
            message = delivery.stored.message
            stream = self._streams.get(message.conversation_id)
            if stream is None:
                stream = self._streams[message.conversation_id] = _Stream(None)
            is_next = message.seq == stream.delivered + 1 and delivery.version <= stream.version
            if stream.reading is None and stream.is_begun and is_next:
                self._send(stream, delivery)
            elif message.seq > stream.delivered or not stream.is_begun:
                stream.waiting[message.seq] = delivery
                self._read(message.conversation_id, stream, message.seq)
            else:
                # It was read from PostgreSQL, and delivered, before we were told that it is committed.
                _acknowledge(delivery)

    def has_delivered(self, conversation_id: UUID, seq: int, *, is_recent: bool) -> bool:
        """Whether a message has left for its readers here; if it was sent lately, see to it that it does."""
        stream = self._streams.get(conversation_id)
        if stream is None:
            if not is_recent:
                return True
            stream = self._streams[conversation_id] = _Stream(None)
        if stream.is_begun and (seq <= stream.delivered):
            return True
        self._read(conversation_id, stream, seq)
        return False

    async def settled(self, conversation_id: UUID) -> None:
        """Wait until this process has delivered what it knows of, but no longer than `SETTLED_SECONDS`."""
        stream = self._streams.get(conversation_id)
        if stream is not None and stream.reading is not None:
            await asyncio.wait({stream.reading}, timeout=SETTLED_SECONDS)

    def suspect(self) -> None:
        """Something may have been committed without having been published: look, here and elsewhere."""
        self.warn()
        self.repair()

    def is_complete(self) -> None:
        """Everything that other processes have published until now was heard."""
        if self._repairing is None:
            self._complete_at = time.monotonic()

    def repair(self) -> None:
        """Deliver what was missed since everything was heard; one look at a time."""
        self._is_suspect = True
        if self._repairing is None:
            self._repairing = asyncio.create_task(self._repair())

    def forget(self) -> None:
        """Forget streams that were not used lately."""
        limit = time.monotonic() - KEPT_SECONDS
        for conversation_id, stream in list(self._streams.items()):
            if stream.used_at < limit and stream.reading is None:
                del self._streams[conversation_id]

    async def _repair(self) -> None:
        try:
            while self._is_suspect:
                self._is_suspect = False
                began = time.monotonic()
                try:
                    await self._repair_last(began - self._complete_at + COMMIT_SECONDS)
                except PostgresUnavailableError as error:
                    log.warning("repair waits", error=str(error))
                    self._is_suspect = True
                    await asyncio.sleep(RETRY_SECONDS)
                else:
                    self._complete_at = began
        finally:
            self._repairing = None

    async def _repair_last(self, seconds: float) -> None:
        rows = await self._database.rows("recent_conversations", seconds)
        for conversation_id, first_seq, last_seq in rows:
            stream = self._streams.get(conversation_id)
            if stream is None:
                stream = self._streams[conversation_id] = _Stream(first_seq - 1)
            if stream.delivered < last_seq:
                self._read(conversation_id, stream, last_seq)
        for repair in self.repairers:
            await repair(seconds)

    def _read(self, conversation_id: UUID, stream: _Stream, target: int) -> None:
        stream.target = max(stream.target, target)
        if stream.reading is None:
            stream.reading = asyncio.create_task(self._catch_up(conversation_id, stream))

    async def _catch_up(self, conversation_id: UUID, stream: _Stream) -> None:
        """Deliver up to the stream's target; whatever arrives meanwhile extends it."""
        try:
            while stream.delivered < stream.target:
                try:
                    if not stream.is_begun:
                        await self._begin(conversation_id, stream)
                    await self._advance(conversation_id, stream)
                except PostgresUnavailableError as error:
                    log.warning("delivery waits", conversation_id=conversation_id, error=str(error))
                    await asyncio.sleep(RETRY_SECONDS)
        except BaseException as fault:
            # What is known is doubtful now: the next message begins anew.
            self._streams.pop(conversation_id, None)
            log.error("stream failed", conversation_id=conversation_id, fault=fault)
            for delivery in stream.waiting.values():
                _acknowledge(delivery)
            raise
        finally:
            stream.reading = None

    async def _begin(self, conversation_id: UUID, stream: _Stream) -> None:
        first = await self._database.value("first_lately", conversation_id, COMMIT_SECONDS)
        stream.delivered = min((first or stream.target, *stream.waiting)) - 1
        stream.is_begun = True

    async def _advance(self, conversation_id: UUID, stream: _Stream) -> None:
        waiting = stream.waiting.get(stream.delivered + 1)
        if stream.version == 0 or (waiting is not None and waiting.version > stream.version):
            await self._read_windows(conversation_id, stream)
        if stream.delivered + 1 not in stream.waiting:
            await self._read_missing(conversation_id, stream)
        while (delivery := stream.waiting.pop(stream.delivered + 1, None)) is not None:
            if delivery.version > stream.version:
                stream.waiting[delivery.stored.message.seq] = delivery
                break
            self._send(stream, delivery)

    async def _read_windows(self, conversation_id: UUID, stream: _Stream) -> None:
        rows = await self._database.rows("readers", conversation_id)
        stream.windows = {
            account: _Window(after, until) for _, account, after, until in rows if account
        }
        stream.version = rows[0]["version"] if rows else stream.version + 1

    async def _read_missing(self, conversation_id: UUID, stream: _Stream) -> None:
        until = min((seq - 1 for seq in stream.waiting), default=stream.target)
        rows = await self._database.rows(
            "messages_between", conversation_id, stream.delivered, until, READ_AT_ONCE, None
        )
        # The windows must be at least as new as these messages.
        await self._read_windows(conversation_id, stream)
        for row in rows:
            stored = Stored.of(row)
            # What has arrived meanwhile knows who waits for its acknowledgement.
            stream.waiting.setdefault(stored.message.seq, Delivery(stored, 0))
            metrics.MESSAGES_REPAIRED.inc()
        if not rows:
            # The conversation is gone, and its messages with it.
            stream.delivered = until

    def _send(self, stream: _Stream, delivery: Delivery) -> None:
        stored = delivery.stored
        message = stored.message
        seq = message.seq
        stream.delivered = seq
        stream.used_at = time.monotonic()
        encoded: dict[Hashable, bytes] = {}
        count = 0
        for account, window in stream.windows.items():
            if seq <= window.after or (window.until is not None and seq > window.until):
                continue
            sockets = self._hub.sockets(account)
            if not sockets or (len(sockets) == 1 and sockets[0] is delivery.origin):
                continue
            variant = stored.variant(account)
            frame = encoded.get(variant)
            if frame is None:
                frame = encoded[variant] = encoded_message(stored, account)
            for socket in sockets:
                if socket is not delivery.origin:
                    count += socket.put_message(message.conversation_id, seq, frame)
        # In its place among the others: all that came before it has been sent to this socket.
        _acknowledge(delivery)
        if count:
            arrived_at = delivery.arrived_at
            metrics.delivered(count, max(time.time() - arrived_at, 0) if arrived_at else None)


def _acknowledge(delivery: Delivery) -> None:
    if delivery.origin is not None:
        delivery.origin.put(acknowledgement(delivery.stored.message))


def acknowledgement(message: Message) -> Ack:
    return Ack(str(message.client_id), message.id, message.seq, message.conversation_id)


def encoded_message(stored: Stored, reader: UUID) -> bytes:
    """Return the frame of a message, as this reader sees it."""
    return frames.encode_as(MessageFrame, stored.seen_by(reader))
