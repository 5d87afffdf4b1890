"""The websocket service: its slices, and what they share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from chitlaq import inventory
from chitlaq.core import tasks
from chitlaq.core.http.service import Context, Service
from chitlaq.services.websocket.chat.exchange import Exchange
from chitlaq.services.websocket.chat.on_socket import ChatOnSocket
from chitlaq.services.websocket.chat.people import People
from chitlaq.services.websocket.chat.sending import Sending
from chitlaq.services.websocket.chat.streams import Streams
from chitlaq.services.websocket.listener import Listener
from chitlaq.services.websocket.sockets.hub import Hub
from chitlaq.services.websocket.sockets.socket import Socket
from chitlaq.services.websocket.state import WebsocketState


@asynccontextmanager
async def run(context: Context) -> AsyncIterator[WebsocketState]:
    hub = Hub()
    listener = Listener(context.database, context.valkey, hub)
    streams = Streams(context.database, hub)
    exchange = Exchange(context.valkey, streams)
    people = People(context.database)
    sending = Sending(context.database, people, streams)
    chat = ChatOnSocket(context.database, sending)
    async with tasks.running(
        listener.listen_forever, exchange.listen_forever, exchange.beat_forever
    ):
        yield WebsocketState(
            open_socket=partial(Socket, hub, context.verifier, chat.handle),
            database=context.database,
            sending=sending,
            people=people,
        )


SERVICE = Service(inventory.COMPONENTS["websocket"], slices=("sockets", "chat"), run=run)
