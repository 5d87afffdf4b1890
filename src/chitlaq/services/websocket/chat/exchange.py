"""The exchange of messages between processes, over Valkey's sharded channels.

A publisher numbers what it publishes in each channel and repeats its number twice a second, so that a
subscriber notices what it did not get, and reads that from PostgreSQL. Who does not even hear itself, in any
of the channels, reads from there all the time. Each is in a slot of its own: a Valkey Cluster spreads
them over its nodes, and one of those may be gone.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

import msgspec

from chitlaq.core import ids
from chitlaq.core.data import valkey
from chitlaq.core.data.valkey import Valkey
from chitlaq.core.telemetry import logs
from chitlaq.services.websocket import metrics
from chitlaq.services.websocket.chat.changes import Changes, Signal
from chitlaq.services.websocket.chat.stored import Place, Stored
from chitlaq.services.websocket.chat.streams import Delivery, Streams
from chitlaq.services.websocket.notifications.live import Live, Notice
from chitlaq.services.websocket.presence.presence import Note, Presences

CHANNELS = tuple(f"chitlaq:chat:{{{number}}}" for number in range(16))
BEAT_SECONDS = 0.5
# A publisher that is not heard for so long is dead, or we are deaf.
SILENT_SECONDS = 1.5

log = logs.get("exchange")


class _Item(msgspec.Struct, frozen=True, array_like=True):
    stored: Stored
    version: int
    arrived_at: float


class _Envelope(msgspec.Struct, frozen=True, array_like=True):
    """What is published in a channel: its publisher, how much that has published there, and the latest.

    ``is_numbered``: it has the next number; otherwise it repeats that of the latest one.
    """

    publisher: UUID
    number: int
    is_numbered: bool = False
    items: Sequence[_Item] = ()
    changed: Sequence[Place] = ()
    signals: Sequence[Signal] = ()
    note: Note | None = None
    is_goodbye: bool = False
    is_warning: bool = False
    notices: Sequence[Notice] = ()


class _Heard:
    """What was heard of a publisher: the number of each channel, and when."""

    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}
        self.at = time.monotonic()
        self.has_left = False


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Envelope)


class Exchange:
    def __init__(
        self,
        client: Valkey,
        streams: Streams,
        changes: Changes,
        presences: Presences,
        live: Live,
    ) -> None:
        self._client = client
        self._streams = streams
        self._changes = changes
        self._presences = presences
        self._live = live
        presences.publish = self.publish_note
        self._id = ids.new()
        # What each of our own envelopes begins with: we hear them all, and need not decode them.
        start, own_id, _ = _encoder.encode(_Envelope(self._id, 0)).partition(str(self._id).encode())
        self._beginning = start + own_id
        self._numbers = [0] * len(CHANNELS)
        self._heard: defaultdict[UUID, _Heard] = defaultdict(_Heard)
        self._sending: set[asyncio.Future[None]] = set()
        self._heard_own_at = [time.monotonic()] * len(CHANNELS)
        self._is_deaf = False
        streams.publish = self.publish
        streams.warn = self.warn
        changes.publish = self.publish_changes
        live.publish = self.publish_notices

    def publish(self, deliveries: Sequence[Delivery]) -> None:
        """Publish without waiting; what gets lost is noticed by the subscribers."""
        by_channel: defaultdict[int, list[_Item]] = defaultdict(list)
        for one in deliveries:
            channel = one.stored.message.conversation_id.int % len(CHANNELS)
            by_channel[channel].append(_Item(one.stored, one.version, one.arrived_at))
        for channel, items in by_channel.items():
            self._numbers[channel] += 1
            self._put(
                channel, _Envelope(self._id, self._numbers[channel], is_numbered=True, items=items)
            )

    def publish_changes(
        self, about: UUID, changed: Sequence[Place], signals: Sequence[Signal]
    ) -> None:
        """Publish changes; only the loss of what can be repaired is to be noticed."""
        channel = about.int % len(CHANNELS)
        is_numbered = bool(changed) or any(signal.is_repaired for signal in signals)
        self._numbers[channel] += is_numbered
        number = self._numbers[channel]
        self._put(
            channel,
            _Envelope(self._id, number, is_numbered=is_numbered, changed=changed, signals=signals),
        )

    def publish_notices(self, notices: Sequence[Notice]) -> None:
        """Publish whose notifications may be others now; the order does not matter."""
        channel = notices[0].recipient_id.int % len(CHANNELS)
        self._numbers[channel] += 1
        self._put(
            channel,
            _Envelope(self._id, self._numbers[channel], is_numbered=True, notices=notices),
        )

    def publish_note(self, note: Note) -> None:
        """Publish who is there; what gets lost is asked again."""
        self._put(0, _Envelope(self._id, self._numbers[0], note=note))

    def warn(self) -> None:
        """Let the others look at what they have missed."""
        self._put(0, _Envelope(self._id, self._numbers[0], is_warning=True))

    async def beat_forever(self) -> None:
        """Repeat the numbers, notice who fell silent, and repair while nothing can be heard."""
        try:
            while True:
                await asyncio.sleep(BEAT_SECONDS)
                for channel, number in enumerate(self._numbers):
                    # Whom we do not hear may not hear us either.
                    beat = _Envelope(self._id, number, is_warning=self._is_deaf)
                    self._put(channel, beat)
                self._notice_silence()
                self._streams.forget()
        finally:
            for channel, number in enumerate(self._numbers):
                self._put(channel, _Envelope(self._id, number, is_goodbye=True))

    async def listen_forever(self) -> None:
        """Deliver what other processes publish, while the process runs."""
        while True:
            try:
                async for channel, data in self._client.subscribed(
                    *CHANNELS, ready=self._subscribed
                ):
                    self._hear(CHANNELS.index(channel), data)
            except valkey.UNAVAILABLE as error:
                log.warning("subscription lost", error=str(error))
                self._heard_own_at = [-math.inf] * len(CHANNELS)
            await asyncio.sleep(BEAT_SECONDS)

    def _subscribed(self) -> None:
        self._heard.clear()
        self._streams.repair()

    def _hear(self, channel: int, data: bytes) -> None:
        if data.startswith(self._beginning):
            self._heard_own_at[channel] = time.monotonic()
            return
        try:
            envelope = _decoder.decode(data)
        except msgspec.DecodeError as error:
            log.error("malformed", error=str(error))
            return
        heard = self._heard[envelope.publisher]
        heard.at = time.monotonic()
        heard.has_left = envelope.is_goodbye
        # A beat and a goodbye repeat the number of the latest publication; a publication has the next one.
        expected = heard.numbers.get(channel, 0) + envelope.is_numbered
        heard.numbers[channel] = envelope.number
        if envelope.number != expected or envelope.is_warning:
            self._streams.repair()
        else:
            self._streams.is_complete()
        self._streams.receive(
            Delivery(one.stored, one.version, None, one.arrived_at) for one in envelope.items
        )
        self._changes.receive(envelope.changed)
        for signal in envelope.signals:
            self._changes.hear(signal)
        self._live.receive(envelope.notices)
        if envelope.note is not None:
            self._presences.hear(envelope.note)

    def _notice_silence(self) -> None:
        limit = time.monotonic() - SILENT_SECONDS
        is_deaf = min(self._heard_own_at) < limit
        if is_deaf != self._is_deaf:
            log.warning("deaf: messages are read from PostgreSQL" if is_deaf else "hearing again")
        self._is_deaf = is_deaf
        metrics.PROCESSES_DEAF.set(is_deaf)
        for who, heard in list(self._heard.items()):
            if heard.at < limit:
                del self._heard[who]
                if not heard.has_left:
                    log.warning("a process fell silent", publisher=who)
                    self._streams.repair()
        if is_deaf:
            self._streams.repair()

    def _put(self, channel: int, envelope: _Envelope) -> None:
        # Subscribers who miss a number, or hear nothing at all, look what it was.
        command = ("SPUBLISH", CHANNELS[channel], _encoder.encode(envelope))
        if not self._client.post(*command):
            task = asyncio.ensure_future(self._send(command))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, command: tuple[str | bytes, ...]) -> None:
        with suppress(*valkey.UNAVAILABLE):
            await self._client.execute(*command)
