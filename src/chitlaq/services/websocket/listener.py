"""Events from the other services, turned into frames for those whom they concern."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from chitlaq.core.data import events, valkey
from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.data.valkey import Valkey
from chitlaq.core.telemetry import logs, tracing
from chitlaq.services.websocket import metrics
from chitlaq.services.websocket.sockets.frames import PostFrame
from chitlaq.services.websocket.sockets.hub import Hub

RECONNECT_SECONDS = 0.5
# Asking about this many members at once keeps one question under a few milliseconds.
AUDIENCE_BATCH = 2000

log = logs.get("listener")


class _PostCreated(msgspec.Struct, tag=events.POST_CREATED):
    request_id: str
    post: msgspec.Raw


class _PostHead(msgspec.Struct):
    id: UUID
    created_at: datetime


class Listener:
    def __init__(self, database: Database, client: Valkey, hub: Hub) -> None:
        self._database = database
        self._client = client
        self._hub = hub

    async def listen_forever(self) -> None:
        """Hear events for as long as the process runs; subscribe again whenever Valkey was away."""
        while True:
            try:
                async for data in self._client.messages(events.CHANNEL):
                    await self._handle(data)
            except valkey.UNAVAILABLE as error:
                log.warning("events are not heard", error=str(error))
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _handle(self, data: bytes) -> None:
        try:
            event = msgspec.json.decode(data, type=_PostCreated)
            head = msgspec.json.decode(event.post, type=_PostHead)
        except msgspec.DecodeError as error:
            log.error("event not understood", error=str(error))
            return
        with logs.request_context(event.request_id), tracing.event(events.POST_CREATED):
            try:
                await self._announce(event, head)
            except PostgresUnavailableError as error:
                log.warning("event not delivered", post_id=head.id, error=str(error))

    async def _announce(self, event: _PostCreated, head: _PostHead) -> None:
        members = self._hub.members()
        frame = PostFrame(event.post)
        sent = 0
        for start in range(0, len(members), AUDIENCE_BATCH):
            batch = members[start : start + AUDIENCE_BATCH]
            rows = await self._database.rows("audience", head.id, batch)
            sent += self._hub.send([row["id"] for row in rows], frame)
        seconds = (datetime.now(UTC) - head.created_at).total_seconds()
        metrics.WEBSOCKET_MESSAGE_DURATION.labels("post").observe(max(seconds, 0))
        if sent:
            log.info("event delivered", post_id=head.id, sockets=sent)
