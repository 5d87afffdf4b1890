"""The exchange between processes notices what got lost, also from a process that says goodbye."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from chitlaq.core.data import postgres, valkey
from chitlaq.core.data.postgres import Database
from chitlaq.core.data.valkey import Valkey
from chitlaq.core.data.valkey_connection import Argument
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.services.websocket.chat.changes import Changes
from chitlaq.services.websocket.chat.exchange import CHANNELS, Exchange
from chitlaq.services.websocket.chat.streams import Streams
from chitlaq.services.websocket.notifications.live import Live
from chitlaq.services.websocket.presence.presence import Presences
from chitlaq.services.websocket.sockets.hub import Hub
from tests.conftest import Stack, eventually

CHAT = "chitlaq.services.websocket.chat"


class WatchedStreams(Streams):
    """Counts the repairs."""

    repairs = 0

    def repair(self) -> None:
        self.repairs += 1
        super().repair()


class CutOff(Valkey):
    """Reaches every node of a cluster but the one that serves a channel."""

    def post(self, *command: Argument) -> bool:
        return command[1] == CHANNELS[3] or super().post(*command)

    async def execute(self, *command: Argument) -> Any:
        return None if command[1] == CHANNELS[3] else await super().execute(*command)


@asynccontextmanager
async def process(
    stack: Stack, kind: type[Valkey] = Valkey
) -> AsyncIterator[tuple[Exchange, WatchedStreams]]:
    """What a websocket process has of the exchange."""
    database = Database(stack.dsn("chitlaq_websocket"), "test", postgres.load_queries(CHAT, "test"))
    client = kind(valkey.url(Settings(), Home(stack.home)))
    hub = Hub()
    streams = WatchedStreams(database, hub)
    changes = Changes(database, hub, streams)
    presences, live = Presences(database, hub, changes), Live(database, hub, streams)
    exchange = Exchange(client, streams, changes, presences, live)
    try:
        yield exchange, streams
    finally:
        # It would look again and again for a database that is closed.
        if streams._repairing is not None:
            streams._repairing.cancel()
            await asyncio.wait({streams._repairing})
        await client.close()
        await database.close()


async def test_publication_lost_before_a_goodbye_is_noticed(stack: Stack) -> None:
    async with process(stack) as (subscriber, streams), process(stack) as (publisher, _):
        listening = asyncio.create_task(subscriber.listen_forever())
        beating = asyncio.create_task(publisher.beat_forever())
        try:
            known = subscriber._heard
            await eventually(
                lambda: (
                    publisher._id in known
                    and all(len(one.numbers) == len(CHANNELS) for one in known.values())
                )
            )
            before = streams.repairs
            publisher._numbers[7] += 1  # published, and never heard
            beating.cancel()
            await eventually(lambda: streams.repairs > before)
        finally:
            beating.cancel()
            listening.cancel()


async def test_process_that_does_not_reach_one_channel_lets_all_look_again_and_again(
    stack: Stack,
) -> None:
    """What it publishes there is lost, and nothing that others hear has a gap."""
    async with process(stack) as (subscriber, streams), process(stack, CutOff) as (publisher, own):
        running = [
            asyncio.create_task(one)
            for one in (
                subscriber.listen_forever(), publisher.listen_forever(), publisher.beat_forever(),
            )
        ]  # fmt: skip
        try:
            await eventually(lambda: publisher._is_deaf)
            before = streams.repairs, own.repairs
            await eventually(
                lambda: streams.repairs > before[0] + 20 and own.repairs > before[1] + 1
            )
        finally:
            for task in running:
                task.cancel()
