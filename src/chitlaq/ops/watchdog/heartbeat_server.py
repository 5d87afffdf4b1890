"""``chitlaq heartbeat serve``: takes heartbeats over HTTP, and escalates when one is missing.

A process of its own on another machine than those that it expects heartbeats from, with its own home,
roster and operations database; nothing else of ChitLaq need run there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from http import HTTPStatus
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from chitlaq.core import tasks
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.ops.database.database import OpsDatabase, OpsDatabaseUnavailableError
from chitlaq.ops.escalation import clock
from chitlaq.ops.escalation.engine import Engine
from chitlaq.ops.incidents import keeping
from chitlaq.ops.watchdog import heartbeats
from chitlaq.ops.watchdog.heartbeats import Listener

PATH = "/heartbeat/"
MOST_AT_ONCE = 100
# A token has 32 characters.
LONGEST_TOKEN = 100
CONNECTION_SECONDS = 10.0
"""For one connection, whatever it does: connections that say nothing must keep out no heartbeat."""

log = logs.get("heartbeat")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def serve(home: Home, settings: Settings, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    arrived, changed = asyncio.Event(), asyncio.Event()
    with OpsDatabase(home, is_keeper=True) as database:
        listener = Listener(database)
        engine = Engine(home, settings, database, changed)
        config = uvicorn.Config(
            partial(application, listener),
            host=host,
            port=port,
            http=_Brief,
            interface="asgi3",
            lifespan="off",
            ws="none",
            log_config=None,
            # The path is the token.
            access_log=False,
            server_header=False,
            limit_concurrency=MOST_AT_ONCE,
            timeout_keep_alive=5,
        )
        async with tasks.running(
            partial(heartbeats.look_forever, listener, arrived.set),
            partial(keeping.keep_forever, database, clock.now, arrived, changed),
            engine.run_forever,
        ):
            await uvicorn.Server(config).serve()


class _Brief(H11Protocol):
    """A connection that ends in time; uvicorn waits for a request for ever."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._end = self.loop.call_later(CONNECTION_SECONDS, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end.cancel()
        super().connection_lost(exc)


async def application(listener: Listener, scope: Message, _receive: Receive, send: Send) -> None:
    """Answer 204 to a heartbeat by GET, HEAD or POST, and 404 to anything else."""
    status = HTTPStatus.NOT_FOUND
    path = str(scope.get("path", ""))
    token = path.removeprefix(PATH)
    if path.startswith(PATH) and 0 < len(token) <= LONGEST_TOKEN:
        try:
            if await listener.take(token):
                status = HTTPStatus.NO_CONTENT
        except OpsDatabaseUnavailableError as error:
            log.error("heartbeat not noted", error=str(error))
            status = HTTPStatus.SERVICE_UNAVAILABLE
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})
