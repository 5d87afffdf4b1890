"""Turn events of the other services into frames for the members they concern."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec

from chitlaq.core.data import events, valkey
from chitlaq.core.data.events import Event
from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.data.valkey import Valkey
from chitlaq.core.telemetry import logs, tracing
from chitlaq.services.websocket import metrics
from chitlaq.services.websocket.presence.presence import Presences
from chitlaq.services.websocket.protocol import PostFrame
from chitlaq.services.websocket.sockets.hub import Hub

RECONNECT_SECONDS = 0.5
# A batch of this many members keeps each query under a few milliseconds.
AUDIENCE_BATCH = 2000

log = logs.get("listener")


class Listener:
    def __init__(self, database: Database, client: Valkey, hub: Hub, presences: Presences) -> None:
        self._database = database
        self._client = client
        self._hub = hub
        self._presences = presences

    async def listen_forever(self) -> None:
        """Handle events while the process runs; resubscribe after Valkey was down."""
        while True:
            try:
                async for event in events.listen(self._client):
                    await self._handle(event)
            except valkey.UNAVAILABLE as error:
                log.warning("events are not heard", error=str(error))
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _handle(self, event: Event) -> None:
        with logs.request_context(event.request_id), tracing.event(events.type_of(event)):
            try:
                match event:
                    case events.PostCreated():
                        await self._announce(event)
                    case events.MemberBlocked():
                        self._presences.part(event.blocker_id, event.blocked_id)
            except PostgresUnavailableError as error:
                log.warning("event not delivered", error=str(error))
            except Exception as error:  # One event must not end the subscription.
                log.error("event not delivered", fault=error)

    async def _announce(self, event: events.PostCreated) -> None:
        members = self._hub.members()
        sent = 0
        for start in range(0, len(members), AUDIENCE_BATCH):
            batch = members[start : start + AUDIENCE_BATCH]
            rows = await self._database.rows("audience", event.post_id, batch)
            whole = [row["id"] for row in rows if row["sees_quote"]]
            sent += self._hub.send(whole, PostFrame(event.post))
            if len(whole) < len(rows):
                others = [row["id"] for row in rows if not row["sees_quote"]]
                sent += self._hub.send(others, PostFrame(_without_quote(event.post)))
        seconds = (datetime.now(UTC) - event.created_at).total_seconds()
        metrics.WEBSOCKET_MESSAGE_DURATION.labels("post").observe(max(seconds, 0))
        if sent:
            log.info("event delivered", post_id=event.post_id, sockets=sent)


def _without_quote(post: msgspec.Raw) -> msgspec.Raw:
    """Return a post as somebody sees it who may not read what it quotes."""
    return msgspec.Raw(msgspec.json.encode(msgspec.json.decode(post) | {"quote": None}))
