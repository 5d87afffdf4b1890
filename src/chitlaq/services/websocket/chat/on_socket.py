"""What the frames of chat do."""

from __future__ import annotations

import time
from collections.abc import Coroutine, Mapping
from typing import Any
from uuid import UUID

from chitlaq.core.data.postgres import Database
from chitlaq.core.http.identity import Identity
from chitlaq.core.http.problems import Problem
from chitlaq.services.websocket import metrics, protocol
from chitlaq.services.websocket.chat import frames, texts
from chitlaq.services.websocket.chat.changes import encoded_change
from chitlaq.services.websocket.chat.people import People
from chitlaq.services.websocket.chat.sending import Answer, Asked, Sending
from chitlaq.services.websocket.chat.stored import Stored
from chitlaq.services.websocket.chat.streams import (
    COMMIT_SECONDS,
    acknowledgement,
    encoded_message,
)
from chitlaq.services.websocket.notifications.live import Live
from chitlaq.services.websocket.presence.frames import Typing, Watch
from chitlaq.services.websocket.presence.presence import Presences
from chitlaq.services.websocket.sockets.socket import Socket

MAX_REPLAYED = 500
"""Of one conversation. Whoever missed more reads it over HTTP."""


class ChatOnSocket:
    def __init__(
        self,
        database: Database,
        people: People,
        sending: Sending,
        presences: Presences,
        live: Live,
    ) -> None:
        self._database = database
        self._people = people
        self._sending = sending
        self._presences = presences
        self._live = live

    def handle(
        self, socket: Socket, member: Identity, frame: protocol.ForMembers, started: float
    ) -> Coroutine[Any, Any, None] | None:
        """Do what a frame asks, as a `Handler` of sockets does."""
        match frame:
            case frames.Send():
                return self._send(socket, member, frame, started)
            case frames.Resume():
                return self._resume(socket, member, frame)
            case Typing():
                return self._presences.typing(member.account_id, frame.conversation_id)
            case Watch():
                return self._presences.watch(socket, member.account_id, frame.usernames)

    def _send(
        self, socket: Socket, member: Identity, frame: frames.Send, started: float
    ) -> Coroutine[Any, Any, None] | None:
        arrived_at = time.time()
        sender = self._people.known(member.account_id)
        if sender is None or frame.media_ids:
            return self._send_slowly(socket, member, frame, arrived_at)
        text = texts.checked(frame.text)
        asked = Asked(
            frame.conversation_id, member.account_id, frame.client_id, text, frame.reply_to,
            sender, socket, arrived_at,
        )  # fmt: skip
        socket.wait()
        self._sending.begin(asked, _Sender(self, socket, frame, started, asked))
        return None

    async def _send_slowly(
        self, socket: Socket, member: Identity, frame: frames.Send, arrived_at: float
    ) -> None:
        """Send for somebody whose name must be read first, or with pictures."""
        sent = await self._sending.send(
            member.account_id, frame.conversation_id, frame.text, frame.client_id, frame.reply_to,
            frame.media_ids, origin=socket, arrived_at=arrived_at,
        )  # fmt: skip
        if not sent.is_new:
            socket.put(acknowledgement(sent.message))

    async def conclude(self, socket: Socket, asked: Asked, answer: Answer | Problem) -> None:
        """Do what remains to be done about a message."""
        sent = await self._sending.concluded(asked, answer)
        if not sent.is_new:
            socket.put(acknowledgement(sent.message))

    async def _resume(self, socket: Socket, member: Identity, frame: frames.Resume) -> None:
        """Replay what was missed; what arrives meanwhile follows it."""
        socket.hold()
        replayed = dict(frame.conversations)
        result = "complete"
        try:
            missed = await self._database.rows(
                "missed", member.account_id, list(replayed), list(replayed.values())
            )
            for conversation_id, seen, last_seq, left_at in missed:
                replayed[conversation_id] = last_seq
                if last_seq < seen:
                    socket.put(frames.Gap(conversation_id, last_seq + 1, last_seq))
                    continue
                if last_seq - seen > MAX_REPLAYED:
                    socket.put(frames.Gap(conversation_id, seen + 1, last_seq))
                    result = "gap"
                    continue
                rows = await self._database.rows(
                    "messages_between", conversation_id, seen, last_seq, MAX_REPLAYED, left_at
                )
                for row in rows:
                    await socket.drained()
                    encoded = encoded_message(Stored.of(row), member.account_id)
                    socket.put_encoded("message", encoded)
            await self._replay_changes(socket, member.account_id, frame.conversations)
            if frame.notifications is not None:
                await self._live.replay(socket, member.account_id, frame.notifications)
            socket.put(frames.Resumed())
            metrics.RESUMES.labels(result).inc()
        finally:
            socket.release(replayed)

    async def _replay_changes(self, socket: Socket, member: UUID, seen: Mapping[UUID, int]) -> None:
        """Send what happened to messages that were seen, since the last of them was sent."""
        rows = await self._database.rows(
            "missed_changes", member, list(seen), list(seen.values()),
            COMMIT_SECONDS, MAX_REPLAYED + 1,
        )  # fmt: skip
        for conversation_id, numbers in rows:
            if len(numbers) > MAX_REPLAYED:
                socket.put(frames.Gap(conversation_id, min(numbers), seen[conversation_id]))
                continue
            changed = await self._database.rows(
                "messages_named", [conversation_id] * len(numbers), numbers, 0
            )
            for row in changed:
                await socket.drained()
                encoded = encoded_change(Stored.of(row), member)
                socket.put_encoded("message_changed", encoded)
        for row in await self._database.rows("own_markers", member, list(seen)):
            socket.put(frames.Read(*row))


class _Sender:
    """The socket that waits until its message is stored. The stream has acknowledged it by then."""

    __slots__ = ("_asked", "_chat", "_frame", "_socket", "_started")

    def __init__(
        self, chat: ChatOnSocket, socket: Socket, frame: frames.Send, started: float, asked: Asked
    ) -> None:
        self._chat = chat
        self._socket = socket
        self._frame = frame
        self._started = started
        self._asked = asked

    def done(self) -> bool:
        return False

    def set_result(self, result: Answer | Problem, /) -> None:
        if isinstance(result, Answer) and result.is_new and not result.is_first:
            self._socket.conclude(self._frame, self._started)
        else:
            rest = self._chat.conclude(self._socket, self._asked, result)
            self._socket.finish(rest, self._frame, self._started)

    def set_exception(self, exception: BaseException, /) -> None:
        self._socket.conclude(self._frame, self._started, exception)
