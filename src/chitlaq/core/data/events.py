"""Events: what a service publishes to the others over Valkey after a commit.

An event is published by a job that was written in the transaction that caused it: that row is the
outbox, and a publish that is lost is repeated. So an event may arrive twice or, when Valkey is
down, late; PostgreSQL remains the source of truth. `Event` is the union of all types: a new one is a
struct here, and a case where listeners match.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, TypeAlias, get_args
from uuid import UUID

import msgspec

from chitlaq.core.data.valkey import Valkey
from chitlaq.core.telemetry import logs, metrics

CHANNEL = "chitlaq:events"

log = logs.get("events")


class PostCreated(msgspec.Struct, frozen=True, tag="post_created"):
    """A post that followers may read was written. ``post`` is what a viewer without relation to it sees."""

    request_id: str
    post_id: UUID
    created_at: Annotated[datetime, msgspec.Meta(tz=True)]
    post: msgspec.Raw


class MemberBlocked(msgspec.Struct, frozen=True, tag="member_blocked"):
    """A member has blocked another: neither sees whether the other is there."""

    request_id: str
    blocker_id: UUID
    blocked_id: UUID


Event: TypeAlias = PostCreated | MemberBlocked

TYPES = frozenset(str(one.__struct_config__.tag) for one in get_args(Event) or (Event,))


class _Tagged(msgspec.Struct):
    type: str


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
# The latter two for texts that are not UTF-8, or nested too deeply.
_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

metrics.initialize(
    metrics.EVENTS,
    ("unknown", "skipped"),
    *((name, result) for name in TYPES for result in ("published", "received", "malformed")),
)


def type_of(event: Event) -> str:
    return str(event.__struct_config__.tag)


async def publish(client: Valkey, event: Event) -> None:
    """Publish an event to the current subscribers.

    Raises:
        ValkeyUnavailableError, ValkeyReplyError: not published; a retry is safe.
    """
    await client.execute("SPUBLISH", CHANNEL, _encoder.encode(event))
    metrics.EVENTS.labels(type_of(event), "published").inc()


async def listen(client: Valkey) -> AsyncIterator[Event]:
    """Yield events until the connection is lost; skip and count what a newer version publishes.

    Raises:
        ValkeyUnavailableError: the connection could not be made, or was lost.
    """
    async for _, data in client.subscribed(CHANNEL):
        event = _decoded(data)
        if event is not None:
            metrics.EVENTS.labels(type_of(event), "received").inc()
            yield event


def _decoded(data: bytes) -> Event | None:
    try:
        return _decoder.decode(data)
    except _MALFORMED as error:
        fault = error
    try:
        name = msgspec.json.decode(data, type=_Tagged).type
    except _MALFORMED:
        name = ""
    if name and name not in TYPES:
        metrics.EVENTS.labels("unknown", "skipped").inc()
    else:
        metrics.EVENTS.labels(name or "unknown", "malformed").inc()
        log.error("event malformed", type=name, error=str(fault))
    return None
