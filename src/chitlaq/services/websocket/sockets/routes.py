"""One socket: read its frames, answer them, and write queued frames."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic, perf_counter
from typing import Any

from litestar import WebSocket, websocket
from litestar.datastructures import State
from litestar.exceptions import WebSocketDisconnect

from chitlaq.core.data.postgres import PostgresUnavailableError
from chitlaq.core.http.problems import Problem
from chitlaq.core.telemetry import logs
from chitlaq.services.websocket import metrics
from chitlaq.services.websocket.sockets import frames
from chitlaq.services.websocket.sockets.hub import Connection
from chitlaq.services.websocket.state import WebsocketState

# RFC 6455, 7.4.1: 1008 is a policy violation, 1013 means try again later.
POLICY_VIOLATION = 1008
TRY_AGAIN_LATER = 1013

MAX_FRAMES_PER_SECOND = 50

log = logs.get("socket")


@websocket("/ws")
async def connect(socket: WebSocket[Any, Any, State], state: WebsocketState) -> None:
    """Serve one socket until it closes: a reader, and a writer for queued frames."""
    await socket.accept()
    connection = Connection()
    state.hub.add(connection)
    log.info("connection opened")
    reader = asyncio.create_task(_read(socket, state, connection))
    writer = asyncio.create_task(_write(socket, connection))
    slow = asyncio.create_task(connection.is_too_slow.wait())
    try:
        await asyncio.wait({reader, writer, slow}, return_when=asyncio.FIRST_COMPLETED)
        if slow.done():
            await _close(socket, TRY_AGAIN_LATER, "reading too slowly")
    finally:
        for task in (reader, writer, slow):
            task.cancel()
        await asyncio.gather(reader, writer, slow, return_exceptions=True)
        state.hub.remove(connection)
        log.info("connection closed")


async def _read(
    socket: WebSocket[Any, Any, State], state: WebsocketState, connection: Connection
) -> None:
    second, count = int(monotonic()), 0
    while True:
        message: dict[str, Any] = {**await socket.receive()}
        if message["type"] == "websocket.disconnect":
            return
        started = perf_counter()
        if int(monotonic()) != second:
            second, count = int(monotonic()), 0
        count += 1
        if count > MAX_FRAMES_PER_SECOND:
            await _close(socket, POLICY_VIOLATION, "too many frames")
            return
        data = message.get("text")
        kind = await _answer(state, connection, data if data is not None else message["bytes"])
        metrics.WEBSOCKET_MESSAGES.labels("in", kind).inc()
        metrics.WEBSOCKET_MESSAGE_DURATION.labels(kind).observe(perf_counter() - started)


async def _write(socket: WebSocket[Any, Any, State], connection: Connection) -> None:
    with suppress(WebSocketDisconnect):
        while True:
            text = await connection.waiting.get()
            await socket.send({"type": "websocket.send", "bytes": None, "text": text})


async def _answer(state: WebsocketState, connection: Connection, data: str | bytes) -> str:
    """Answer one frame and return its type, for the metrics."""
    try:
        frame = frames.decode(data)
    except ValueError as error:
        connection.put(frames.Error(f"Not understood: {error}.", 400))
        return "invalid"
    if isinstance(frame, frames.Ping):
        connection.put(frames.Pong(datetime.now(UTC)))
    else:
        await _sign_in(state, connection, frame.token)
    return frames.type_of(frame)


async def _sign_in(state: WebsocketState, connection: Connection, token: str) -> None:
    try:
        identity = await state.verifier.verify(token)
    except Problem as problem:
        connection.put(frames.Error(problem.detail, int(problem.status)))
    except PostgresUnavailableError:
        connection.put(frames.Error("The database is not reachable: try again.", 503))
    else:
        state.hub.sign_in(connection, identity)
        connection.put(frames.SignedIn(str(identity.account_id), identity.expires_at))


async def _close(socket: WebSocket[Any, Any, State], code: int, reason: str) -> None:
    log.info("connection refused", reason=reason)
    with suppress(RuntimeError, WebSocketDisconnect):
        await socket.close(code=code, reason=reason)
