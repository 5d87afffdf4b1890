"""The websocket service: its slices, and what they share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from litestar import Request, Response, get
from litestar.datastructures import State

from chitlaq import inventory
from chitlaq.core import tasks
from chitlaq.core.data import member_data
from chitlaq.core.data.jobs import Runner
from chitlaq.core.http.limits import Limiter
from chitlaq.core.http.service import Context, Service
from chitlaq.core.installation.secrets import Secrets
from chitlaq.services.websocket import asyncapi
from chitlaq.services.websocket.chat import renewals
from chitlaq.services.websocket.chat.changes import Changes
from chitlaq.services.websocket.chat.exchange import Exchange
from chitlaq.services.websocket.chat.groups import MAX_BROUGHT_PER_MINUTE, Groups
from chitlaq.services.websocket.chat.messages import Messages
from chitlaq.services.websocket.chat.on_socket import ChatOnSocket
from chitlaq.services.websocket.chat.people import People
from chitlaq.services.websocket.chat.sending import Sending
from chitlaq.services.websocket.chat.streams import Streams
from chitlaq.services.websocket.departures.departures import contribution
from chitlaq.services.websocket.listener import Listener
from chitlaq.services.websocket.notifications import causes, unread
from chitlaq.services.websocket.notifications.announcements import delivery
from chitlaq.services.websocket.notifications.announcements.announcements import Announcements
from chitlaq.services.websocket.notifications.channels import digests
from chitlaq.services.websocket.notifications.channels.channels import Channels
from chitlaq.services.websocket.notifications.live import Live
from chitlaq.services.websocket.notifications.notifications import Notifications
from chitlaq.services.websocket.notifications.telling import Telling
from chitlaq.services.websocket.presence.presence import Presences
from chitlaq.services.websocket.sockets.hub import Hub
from chitlaq.services.websocket.sockets.socket import Socket
from chitlaq.services.websocket.state import WebsocketState
from chitlaq.web.site.pages import SITE


@get("/ws/asyncapi.json", summary="The WebSocket's frames as an AsyncAPI 3 document")
async def asyncapi_document() -> dict[str, Any]:
    return asyncapi.document()


@get("/ws/docs", is_page=True, sync_to_thread=False, summary="The WebSocket's frames, for people")
def page(request: Request[Any, Any, State]) -> Response[str]:
    return SITE.html(request, "websocket.html", api=asyncapi.document())


@asynccontextmanager
async def run(context: Context) -> AsyncIterator[WebsocketState]:
    hub = Hub()
    streams = Streams(context.database, hub)
    changes = Changes(context.database, hub, streams)
    presences = Presences(context.database, hub, changes)
    listener = Listener(context.database, context.valkey, hub, presences)
    live = Live(context.database, hub, streams)
    exchange = Exchange(context.valkey, streams, changes, presences, live)
    context.verifier.revoked = lambda: hub.close_those(context.verifier.is_revoked)
    people = People(context.database)
    brought = Limiter(
        context.valkey, context.service, "conversation_members", MAX_BROUGHT_PER_MINUTE
    )
    groups = Groups(context.database, people, streams, changes, brought)
    sending = Sending(context.database, people, streams, groups)
    channels = Channels.opened(context.database, context.settings, Secrets(context.home.secrets))
    telling = Telling(channels.pushes.enqueue, live)
    parts = member_data.handlers(
        context.database, contribution(context.database, groups, changes, telling)
    )
    chat = ChatOnSocket(context.database, people, sending, presences, live)
    runner = Runner(
        context.database,
        causes.handler(telling),
        unread.handler(context.database),
        delivery.handler(telling, live),
        *parts,
        renewals.handler(changes),
        channels.pushes.handler,
        wake_ups=context.wake_ups,
    )
    changes.look = partial(causes.look, runner)
    async with (
        tasks.running(
            listener.listen_forever,
            exchange.listen_forever,
            exchange.beat_forever,
            changes.send_forever,
            live.send_forever,
            sending.count_forever,
            presences.ask_forever,
            partial(digests.send_forever, context.database, channels.installation_zone),
            partial(unread.plan_forever, context.database),
        ),
        runner.running(),
    ):
        yield WebsocketState(
            open_socket=partial(Socket, hub, context.verifier, chat.handle),
            hub=hub,
            database=context.database,
            sending=sending,
            people=people,
            changes=changes,
            presences=presences,
            groups=groups,
            messages=Messages(context.database, streams, changes),
            channels=channels,
            notifications=Notifications(context.database, telling),
            announcements=Announcements(context.database, live),
        )


SERVICE = Service(
    inventory.COMPONENTS["websocket"],
    writes=True,
    slices=(
        "sockets",
        "chat",
        "notifications",
        "notifications.channels",
        "notifications.announcements",
    ),
    run=run,
    query_packages=(
        "chitlaq.services.websocket.departures",
        "chitlaq.services.websocket.presence",
    ),
)
