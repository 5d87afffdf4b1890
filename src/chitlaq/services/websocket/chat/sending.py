"""Sending: messages that arrive in the same moment are stored together, and acknowledged when they are.

Group commit: one statement, one transaction and one wait for the disk, for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import NamedTuple
from uuid import UUID

import asyncpg

from chitlaq.core.data.batching import Batcher, Waiter
from chitlaq.core.data.postgres import Database, PostgresUnavailableError, Session
from chitlaq.core.http import problems
from chitlaq.core.http.pictures import NOT_ATTACHABLE, Picture
from chitlaq.core.http.problems import Problem
from chitlaq.core.text import tokens
from chitlaq.services.websocket import metrics
from chitlaq.services.websocket.chat import texts
from chitlaq.services.websocket.chat.groups import Groups
from chitlaq.services.websocket.chat.people import People
from chitlaq.services.websocket.chat.schemas import Message, Person
from chitlaq.services.websocket.chat.stored import Stored, pictures
from chitlaq.services.websocket.chat.streams import Delivery, Streams
from chitlaq.services.websocket.sockets.socket import Socket

MAX_UNANSWERED = 3
"""Messages that somebody may write to who has not accepted the request, and perhaps never will."""
# Most of a statement's cost is its own, and of a commit's, too. More than two at a time wait for each other:
# for the conversations that both have.
MAX_TOGETHER = 256
MAX_UNDER_WAY = 2
COUNT_SECONDS = 0.5

_REFUSALS = {
    "absent": lambda: problems.not_found("conversation"),
    "requested": lambda: problems.conflict(
        "This is a message request: accept it before you answer."
    ),
    "unavailable": lambda: problems.forbidden("This person is not available."),
    "unanswered": lambda: problems.forbidden(
        f"This person has not answered yet. Until then you may write {MAX_UNANSWERED} messages."
    ),
    "unanswerable": lambda: problems.invalid(
        {"reply_to": "is not in this conversation, or you may not see it"}
    ),
}


class Sent(NamedTuple):
    """A message that is stored; if it was before (not ``is_new``), only its place is what is stored."""

    message: Message
    is_new: bool


class Asked(NamedTuple):
    """A message to store, and where it came from."""

    conversation_id: UUID
    sender_id: UUID
    client_id: str
    text: str
    reply_to: int | None
    sender: Person
    origin: Socket | None
    arrived_at: float
    media_ids: Sequence[UUID] = ()


class Answer(NamedTuple):
    """Where a message is stored."""

    is_new: bool
    id: UUID
    seq: int
    sent_at: datetime
    version: int
    folded_for: Sequence[UUID] | None
    media: Sequence[Picture] = ()

    @property
    def is_first(self) -> bool:
        """Whether it began its conversation."""
        return self.is_new and self.seq == 1


class Sending:
    """Stores messages and hands them to the streams."""

    def __init__(
        self, database: Database, people: People, streams: Streams, groups: Groups
    ) -> None:
        self._database = database
        self._people = people
        self._streams = streams
        self._groups = groups
        self._batches: Batcher[Asked, Answer | Problem] = Batcher(
            self._store, together=MAX_TOGETHER, under_way=MAX_UNDER_WAY
        )

    async def send(
        self,
        sender_id: UUID,
        conversation_id: UUID,
        text: str,
        client_id: str,
        reply_to: int | None = None,
        media_ids: Sequence[UUID] = (),
        *,
        origin: Socket | None = None,
        arrived_at: float,
    ) -> Sent:
        """Store a message; when this returns, it is committed. Answering a message request accepts it.

        Args:
            origin: the socket that it came by. If the message is new, the stream acknowledges it there.
                Without one, the message has also left for the sockets that there were here.
            arrived_at: Unix time at which it arrived.

        Raises:
            Problem: refused, and nothing is stored.
            PostgresUnavailableError: perhaps stored; sending it again with the same ``client_id`` is safe.
        """
        if text or not media_ids:
            text = texts.checked(text)
        if len(set(media_ids)) < len(media_ids):
            raise problems.invalid({"media_ids": "names a picture twice"})
        sender = await self._people.person(sender_id)
        if sender is None:
            raise problems.not_signed_in("This account no longer exists.")
        asked = Asked(
            conversation_id, sender_id, client_id, text, reply_to, sender, origin, arrived_at, media_ids
        )  # fmt: skip
        sent = await self.concluded(asked, await self._ask(asked))
        if origin is None:
            # Of the first message here, the readers have to be read. Who connects after the answer is none.
            await self._streams.settled(conversation_id)
        return sent

    def begin(self, asked: Asked, waiter: Waiter[Answer | Problem]) -> None:
        """Store a message whose text was checked; `concluded` takes what the waiter gets.

        Without a task, or a future, or anything else that a message in a busy hour need not cost.
        """
        self._batches.put(asked, waiter)

    async def concluded(self, asked: Asked, answer: Answer | Problem) -> Sent:
        """Do what remains to be done about a message that is new and not the first, or was refused.

        Raises:
            Problem, PostgresUnavailableError: as `send`.
        """
        if isinstance(answer, Problem) and answer.status is HTTPStatus.CONFLICT:
            await self._groups.accept(asked.sender_id, asked.conversation_id)
            answer = await self._ask(asked)
        if isinstance(answer, Problem):
            raise answer
        if answer.is_first:
            # Whom it is a request to gets no message: only that there is one.
            await self._groups.announce(asked.conversation_id)
        return Sent(_message(asked, answer), answer.is_new)

    async def count_forever(self) -> None:
        """Tell the metrics how many messages wait, while the process runs."""
        while True:
            metrics.MESSAGES_WAITING.set(self._batches.waiting)
            await asyncio.sleep(COUNT_SECONDS)

    async def _ask(self, asked: Asked) -> Answer | Problem:
        if asked.media_ids:
            return await self._store_with_pictures(asked)
        return await self._batches.ask(asked)

    async def _store_with_pictures(self, asked: Asked) -> Answer | Problem:
        """Store a message by itself: what a picture takes, no message without one waits for.

        A message that was sent before keeps the pictures that it has.
        """
        try:
            async with self._database.transaction() as session:
                (answer,) = await self._stored(session, [asked])
                if isinstance(answer, Problem) or not answer.is_new:
                    return answer
                await _attach(session, asked, answer.seq)
                shown = await session.value(
                    "pictures_of_message", asked.conversation_id, answer.seq
                )
        except PostgresUnavailableError:
            self._streams.suspect()
            raise
        media, _ = pictures(shown)
        answer = answer._replace(media=media)
        self._streams.deliver([_delivery(asked, answer)])
        return answer

    async def _store(self, batch: Sequence[Asked]) -> Sequence[Answer | Problem]:
        try:
            async with self._database.session() as session:
                answers = await self._stored(session, batch)
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
                _delivery(asked, answer)
                for asked, answer in zip(batch, answers, strict=True)
                if not isinstance(answer, Problem) and answer.is_new
            ]
        )
        return answers

    async def _stored(self, session: Session, batch: Sequence[Asked]) -> list[Answer | Problem]:
        columns = list(map(list, zip(*(one[:5] for one in batch), strict=True)))
        rows = await session.rows("store_messages", *columns, MAX_UNANSWERED)
        return [_REFUSALS[refused]() if refused else Answer(*answer) for refused, *answer in rows]


async def _attach(session: Session, asked: Asked, seq: int) -> None:
    attached = await session.value(
        "attach_pictures", asked.conversation_id, seq, asked.sender_id, asked.media_ids
    )
    if attached < len(asked.media_ids):
        raise problems.invalid({"media_ids": NOT_ATTACHABLE})


def _message(asked: Asked, answer: Answer) -> Message:
    return Message(
        conversation_id=asked.conversation_id,
        id=answer.id,
        seq=answer.seq,
        sender=asked.sender,
        text=asked.text,
        sent_at=answer.sent_at,
        reply_to=asked.reply_to,
        mentions=tokens.parsed(asked.text).mentions,
        media=answer.media,
        client_id=asked.client_id,
    )


def _delivery(asked: Asked, answer: Answer) -> Delivery:
    stored = Stored(_message(asked, answer), asked.sender_id, answer.folded_for or ())
    return Delivery(stored, answer.version, asked.origin, asked.arrived_at)
