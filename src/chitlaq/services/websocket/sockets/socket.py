"""One client's socket: who is signed in, what its frames do, and what is sent to it."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from websockets.frames import CloseCode

from chitlaq.core.data.postgres import PostgresUnavailableError
from chitlaq.core.http.identity import Identity, Verifier
from chitlaq.core.http.problems import Problem
from chitlaq.core.telemetry import logs
from chitlaq.services.websocket import metrics
from chitlaq.services.websocket.sockets import frames
from chitlaq.services.websocket.sockets.connection import (
    MAX_MESSAGE_BYTES,
    MAX_WAITING_BYTES,
    Connection,
)
from chitlaq.services.websocket.sockets.hub import Hub

# A stranger's longest frame is the one that signs in.
MAX_ANONYMOUS_BYTES = 8 * 1024
# It gets few answers, so it leaves few unread. It waits for the one to its sign-in before it sends more.
MAX_ANONYMOUS_WAITING_BYTES = 16 * 1024
MAX_ANONYMOUS_UNHANDLED_BYTES = 32 * 1024
# Verifying a forged token costs as much as answering many pings.
SIGN_IN_FRAMES = 10

log = logs.get("socket")


class Socket(Connection):
    max_message_bytes = MAX_ANONYMOUS_BYTES
    max_waiting_bytes = MAX_ANONYMOUS_WAITING_BYTES

    def __init__(self, hub: Hub, verifier: Verifier, request_id: str) -> None:
        super().__init__()
        self.identity: Identity | None = None
        self._hub = hub
        self._verifier = verifier
        self._request_id = request_id
        hub.add(self)
        with logs.request_context(request_id):
            log.info("connection opened")

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.identity is None and self.unhandled_bytes > MAX_ANONYMOUS_UNHANDLED_BYTES:
            self.close(CloseCode.POLICY_VIOLATION, "wait for the answer to your sign-in")

    def put(self, frame: frames.Outgoing, encoded: bytes | None = None) -> None:
        """Send a frame; ``encoded`` is the frame if it is already encoded."""
        self.write(encoded if encoded is not None else frames.encode(frame))
        metrics.sent(frame)

    def receive(self, message: bytes | bytearray) -> Coroutine[Any, Any, None] | None:
        started = perf_counter()
        try:
            frame = frames.decode(message)
        except ValueError as error:
            self.put(frames.Error(f"Not understood: {error}.", 400))
            metrics.received("invalid", perf_counter() - started)
            return None
        if isinstance(frame, frames.Ping):
            self.put(frames.Pong(datetime.now(UTC)))
            metrics.received("ping", perf_counter() - started)
            return None
        self.spend(SIGN_IN_FRAMES)
        return self._sign_in(frame.token, started)

    def closing(self, code: int, reason: str) -> None:
        self._hub.remove(self)
        with logs.request_context(self._request_id):
            log.info("connection closed", code=int(code), reason=reason)

    async def _sign_in(self, token: str, started: float) -> None:
        logs.begin_request(self._request_id)
        try:
            identity = await self._verifier.verify(token)
        except Problem as problem:
            self.put(frames.Error(problem.detail, int(problem.status)))
        except PostgresUnavailableError:
            self.put(frames.Error("The database is not reachable: try again.", 503))
        else:
            self._hub.sign_in(self, identity)
            self.max_message_bytes = MAX_MESSAGE_BYTES
            self.max_waiting_bytes = MAX_WAITING_BYTES
            self.put(frames.SignedIn(str(identity.account_id), identity.expires_at))
        metrics.received("auth", perf_counter() - started)
