"""Sending: messages that arrive in the same moment are stored together, and acknowledged when they are.

Group commit: one statement, one transaction and one wait for the disk, for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from chitlaq.core.data.batching import Batcher
from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.http import problems
from chitlaq.core.http.problems import Problem
from chitlaq.services.websocket.chat.people import People
from chitlaq.services.websocket.chat.schemas import Message, Person
from chitlaq.services.websocket.chat.streams import Delivery, Streams
from chitlaq.services.websocket.sockets.socket import Socket

_REFUSALS = {
    "absent": lambda: problems.not_found("conversation"),
    "unavailable": lambda: problems.forbidden("This person is not available."),
    "unanswerable": lambda: problems.invalid(
        {"reply_to": "there is no such message in this conversation, or you may not see it"}
    ),
}


class Sent(NamedTuple):
    """A message that is stored. ``is_new``: by this very request."""

    message: Message
    is_new: bool


class _Asked(NamedTuple):
    conversation_id: UUID
    sender_id: UUID
    client_id: str
    text: str
    reply_to: int | None
    sender: Person
    origin: Socket | None
    arrived_at: float


class _Stored(NamedTuple):
    id: UUID
    seq: int
    sent_at: datetime
    is_new: bool


class Sending:
    """Stores messages and hands them to the streams."""

    def __init__(self, database: Database, people: People, streams: Streams) -> None:
        self._database = database
        self._people = people
        self._streams = streams
        self._batches: Batcher[_Asked, _Stored | Problem] = Batcher(self._store)

    async def send(
        self,
        sender_id: UUID,
        conversation_id: UUID,
        text: str,
        client_id: str,
        reply_to: int | None = None,
        *,
        origin: Socket | None = None,
        arrived_at: float,
    ) -> Sent:
        """Store a message; when this returns, it is committed.

        Args:
            origin: the socket that it came by. If the message is new, the stream acknowledges it there.
            arrived_at: Unix time at which it arrived.

        Raises:
            Problem: refused, and nothing is stored.
            PostgresUnavailableError: perhaps stored; sending it again with the same ``client_id`` is safe.
        """
        if not text.strip() or "\x00" in text:
            raise problems.invalid({"text": "must not be empty, and without NUL"})
        sender = await self._people.person(sender_id)
        if sender is None:
            raise problems.not_signed_in("This account no longer exists.")
        asked = _Asked(
            conversation_id, sender_id, client_id, text, reply_to, sender, origin, arrived_at
        )
        stored = await self._batches.ask(asked)
        if isinstance(stored, Problem):
            raise stored
        return Sent(_message(asked, stored), stored.is_new)

    async def _store(self, batch: Sequence[_Asked]) -> Sequence[_Stored | Problem]:
        try:
            answers = await self._stored(batch)
        except asyncpg.PostgresError:
            if len(batch) == 1:
                raise
            # One of them is at fault, such as an account that was deleted meanwhile: not all.
            return [answer for one in batch for answer in await self._store([one])]
        except PostgresUnavailableError:
            # Perhaps committed, and then nobody has published it.
            self._streams.suspect()
            raise
        self._streams.deliver(
            [
                _delivery(asked, answer[0], answer[1])
                for asked, answer in zip(batch, answers, strict=True)
                if not isinstance(answer, Problem) and answer[0].is_new
            ]
        )
        return [answer if isinstance(answer, Problem) else answer[0] for answer in answers]

    async def _stored(self, batch: Sequence[_Asked]) -> list[tuple[_Stored, int] | Problem]:
        columns = list(map(list, zip(*(one[:5] for one in batch), strict=True)))
        async with self._database.session() as session:
            rows = await session.rows("store_messages", *columns)
        return [
            _REFUSALS[refused]() if refused else (_Stored(id_, seq, sent_at, is_new), version)
            for refused, is_new, id_, seq, sent_at, version in rows
        ]


def _message(asked: _Asked, stored: _Stored) -> Message:
    return Message(
        conversation_id=asked.conversation_id,
        id=stored.id,
        seq=stored.seq,
        sender=asked.sender,
        text=asked.text,
        sent_at=stored.sent_at,
        reply_to=asked.reply_to,
        client_id=asked.client_id,
    )


def _delivery(asked: _Asked, stored: _Stored, version: int) -> Delivery:
    return Delivery(
        _message(asked, stored), asked.sender_id, version, asked.origin, asked.arrived_at
    )
