"""One client's socket: who is signed in, what its frames do, and what is sent to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from time import perf_counter
from typing import Any
from uuid import UUID

import msgspec
from websockets.frames import CloseCode

from chitlaq.core.data.postgres import PostgresUnavailableError
from chitlaq.core.http import problems
from chitlaq.core.http.identity import Identity, Verifier
from chitlaq.core.http.problems import Problem
from chitlaq.core.telemetry import logs
from chitlaq.services.websocket import metrics, protocol
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

# All clients of a process that stops come again: spread over so long, others do not notice them.
RECONNECT_SECONDS = 5

Handler = Callable[
    ["Socket", Identity, protocol.ForMembers, float], Coroutine[Any, Any, None] | None
]
"""Does what a frame of a signed-in member asks, which came at this moment of `perf_counter`.

Returns:
    What is left to do; or None if the socket waits, and `Socket.conclude` is called with the frame.

Raises:
    Problem, PostgresUnavailableError: it was refused, or failed; the sender is told.
"""

log = logs.get("socket")


class Socket(Connection):
    max_message_bytes = MAX_ANONYMOUS_BYTES
    max_waiting_bytes = MAX_ANONYMOUS_WAITING_BYTES

    def __init__(
        self, hub: Hub, verifier: Verifier, handle: Handler, request_id: str, token: str | None
    ) -> None:
        super().__init__()
        self.identity: Identity | None = None
        self._do = handle
        self._held: list[tuple[str, UUID | None, int, bytes]] | None = None
        self._held_bytes = 0
        self._replayed: Mapping[UUID, int] = {}
        self._hub = hub
        self._verifier = verifier
        self._request_id = request_id
        self._cookie_token = token
        hub.add(self)
        with logs.request_context(request_id):
            log.info("connection opened")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._cookie_token is not None:
            self.spend(SIGN_IN_FRAMES)
            self.work(self._sign_in(self._cookie_token, perf_counter()))

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.identity is None and self.unhandled_bytes > MAX_ANONYMOUS_UNHANDLED_BYTES:
            self.close(CloseCode.POLICY_VIOLATION, "wait for the answer to your sign-in")

    def put(self, frame: msgspec.Struct) -> None:
        """Send a frame."""
        self.put_encoded(frames.type_of(frame), frames.encode(frame))

    def put_encoded(self, kind: str, encoded: bytes) -> None:
        """Send a frame of this type that is already encoded."""
        self.write(encoded)
        metrics.sent(kind)

    def put_message(self, conversation_id: UUID, seq: int, encoded: bytes) -> bool:
        """Send a live message unless it was replayed; hold it while what was missed is being sent.

        Returns:
            Whether it is to be counted (`metrics.sent`): whoever sends it to many does that for all.
        """
        if self._replayed and seq <= self._replayed.get(conversation_id, 0):
            return False
        if self._held is None:
            self.write(encoded)
        else:
            self._hold(("message", conversation_id, seq, encoded))
        return True

    def put_change(self, kind: str, encoded: bytes) -> None:
        """Send how something is now; it overtakes neither what is replayed nor messages that are held."""
        if self._held is None:
            self.put_encoded(kind, encoded)
        else:
            self._hold((kind, None, 0, encoded))

    def _hold(self, frame: tuple[str, UUID | None, int, bytes]) -> None:
        assert self._held is not None
        self._held.append(frame)
        self._held_bytes += len(frame[3])
        if self._held_bytes > self.max_waiting_bytes:
            self.close(
                CloseCode.TRY_AGAIN_LATER, "more arrived while resuming than fits: resume again"
            )

    @property
    def held_messages(self) -> int:
        """Live messages that wait until what was missed has been sent."""
        return len(self._held or ())

    def hold(self) -> None:
        """Hold live messages and changes, until `release`."""
        self._held, self._held_bytes = [], 0

    def release(self, replayed: Mapping[UUID, int]) -> None:
        """Send the live messages that were held, but for those that were replayed, up to these numbers."""
        held, self._held = self._held or [], None
        self._replayed = replayed
        for kind, conversation_id, seq, encoded in held:
            if conversation_id is None:
                self.put_change(kind, encoded)
            else:
                self.put_message(conversation_id, seq, encoded)

    def shutdown(self) -> None:
        self.put(frames.Reconnect(RECONNECT_SECONDS))
        super().shutdown()

    def receive(self, message: bytes | bytearray) -> Coroutine[Any, Any, None] | None:
        started = perf_counter()
        try:
            frame = protocol.decode(message)
        except ValueError as error:
            self.put(frames.Error(f"Not understood: {error}.", 400, protocol.client_id(message)))
            metrics.received("invalid", perf_counter() - started)
            return None
        if isinstance(frame, frames.Ping):
            self.put(frames.Pong(datetime.now(UTC)))
            metrics.received("ping", perf_counter() - started)
            return None
        if isinstance(frame, frames.Auth):
            self.spend(SIGN_IN_FRAMES)
            return self._sign_in(frame.token, started)
        member = self.identity
        if member is None or member.expires_at <= time.time():
            self.conclude(
                frame, started, problems.not_signed_in("Send auth with an access token first.")
            )
            return None
        try:
            work = self._do(self, member, frame, started)
        except (Problem, PostgresUnavailableError) as fault:
            self.conclude(frame, started, fault)
            return None
        return self._answer(work, frame, started) if work is not None else None

    def conclude(
        self, frame: protocol.ForMembers, started: float, fault: BaseException | None = None
    ) -> None:
        """The frame is answered, or refused: handle the next."""
        if isinstance(fault, Problem):
            self._refuse(frame, fault.detail, int(fault.status))
        elif isinstance(fault, PostgresUnavailableError):
            detail = "The database is not reachable: try again."
            self._refuse(frame, detail, HTTPStatus.SERVICE_UNAVAILABLE)
        elif fault is not None:
            self._fail(fault)
        metrics.received(frames.type_of(frame), perf_counter() - started)
        self.proceed()

    def finish(
        self, work: Coroutine[Any, Any, None], frame: protocol.ForMembers, started: float
    ) -> None:
        """This is left to do before `conclude`."""
        self.work(self._answer(work, frame, started))

    def _refuse(self, frame: protocol.ForMembers, detail: str, status: int) -> None:
        client_id = getattr(frame, "client_id", msgspec.UNSET)
        self.put(frames.Error(detail, status, client_id))

    def closing(self, code: int, reason: str) -> None:
        self._hub.remove(self)
        metrics.closed(code)
        with logs.request_context(self._request_id):
            log.info("connection closed", code=int(code), reason=reason)

    async def _answer(
        self, work: Coroutine[Any, Any, None], frame: protocol.ForMembers, started: float
    ) -> None:
        logs.begin_request(self._request_id)
        try:
            await work
        except (Problem, PostgresUnavailableError) as fault:
            self.conclude(frame, started, fault)
        else:
            self.conclude(frame, started)

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
