"""What the frames of chat do."""

from __future__ import annotations

import time

from chitlaq.core.data.postgres import Database
from chitlaq.core.http.identity import Identity
from chitlaq.services.websocket import metrics, protocol
from chitlaq.services.websocket.chat import frames
from chitlaq.services.websocket.chat.schemas import Message
from chitlaq.services.websocket.chat.sending import Sending
from chitlaq.services.websocket.chat.streams import acknowledgement, encoded_message
from chitlaq.services.websocket.sockets.socket import Socket

MAX_REPLAYED = 500
"""Of one conversation. Whoever missed more reads it over HTTP."""


class ChatOnSocket:
    def __init__(self, database: Database, sending: Sending) -> None:
        self._database = database
        self._sending = sending

    async def handle(self, socket: Socket, member: Identity, frame: protocol.ForMembers) -> None:
        match frame:
            case frames.Send():
                await self._send(socket, member, frame)
            case frames.Resume():
                await self._resume(socket, member, frame)

    async def _send(self, socket: Socket, member: Identity, frame: frames.Send) -> None:
        sent = await self._sending.send(
            member.account_id, frame.conversation_id, frame.text, frame.client_id, frame.reply_to,
            origin=socket, arrived_at=time.time(),
        )  # fmt: skip
        if not sent.is_new:
            socket.put(acknowledgement(sent.message))

    async def _resume(self, socket: Socket, member: Identity, frame: frames.Resume) -> None:
        """Replay what was missed; what arrives meanwhile follows it."""
        socket.hold()
        replayed = dict(frame.conversations)
        try:
            missed = await self._database.rows(
                "missed", member.account_id, list(replayed), list(replayed.values())
            )
            for conversation_id, seen, last_seq in missed:
                replayed[conversation_id] = last_seq
                if last_seq - seen > MAX_REPLAYED:
                    socket.put(frames.Gap(conversation_id, seen + 1, last_seq))
                    continue
                rows = await self._database.rows(
                    "messages_between", conversation_id, seen, last_seq, MAX_REPLAYED
                )
                for row in rows:
                    is_own = row["sender_id"] == member.account_id
                    await socket.drained()
                    socket.write(encoded_message(Message.of(row), is_own=is_own))
                    metrics.sent("message")
            socket.put(frames.Resumed())
        finally:
            socket.release(replayed)
