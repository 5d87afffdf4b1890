"""The websocket service: its slices, and what they share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from chitlaq import inventory
from chitlaq.core import tasks
from chitlaq.core.http.service import Context, Service
from chitlaq.services.websocket.listener import Listener
from chitlaq.services.websocket.sockets.hub import Hub
from chitlaq.services.websocket.sockets.socket import Socket
from chitlaq.services.websocket.state import WebsocketState


@asynccontextmanager
async def run(context: Context) -> AsyncIterator[WebsocketState]:
    hub = Hub()
    listener = Listener(context.database, context.valkey, hub)
    async with tasks.running(listener.listen_forever):
        yield WebsocketState(open_socket=partial(Socket, hub, context.verifier))


SERVICE = Service(inventory.COMPONENTS["websocket"], slices=("sockets",), run=run)
