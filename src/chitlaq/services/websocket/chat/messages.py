"""Messages after they were sent: history, edits, deletion, reactions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from chitlaq.core.data.postgres import Database, PostgresUnavailableError, Session
from chitlaq.core.http import problems
from chitlaq.core.http.paging import no_cursor
from chitlaq.core.http.schemas import require_moment
from chitlaq.core.telemetry import logs
from chitlaq.services.websocket.chat import texts
from chitlaq.services.websocket.chat.changes import Changes
from chitlaq.services.websocket.chat.groups import UNAVAILABLE
from chitlaq.services.websocket.chat.schemas import Edit, Message, MessagePage
from chitlaq.services.websocket.chat.stored import Place, Stored
from chitlaq.services.websocket.chat.streams import Streams

EDITABLE_HOURS = 24
MAX_EMOJIS = 20
"""Kinds of reactions that a message may have."""
BEFORE_UNREAD = 10
"""Messages that one has read, above those that one has not."""


async def history(
    database: Database,
    member: UUID,
    conversation_id: UUID,
    *,
    before: int | None = None,
    after: int | None = None,
    around: int | None = None,
    at: datetime | None = None,
    unread: bool = False,
    cursor: str | None = None,
    limit: int,
) -> MessagePage:
    """Return messages that the member may read, in order: the latest, or those at one place.

    Args:
        database: the service's.
        member: who reads.
        conversation_id: what they read.
        before: those that end before this number.
        after: those that begin after this number.
        around: this number in their middle.
        at: those that begin at this moment.
        unread: the latest; if not all unread ones are among those, from a little before the first of them on.
        cursor: ``next_cursor`` of the page before, instead of the others.
        limit: how many.

    Raises:
        Problem: 404 if the member takes no part in the conversation, 422 for more than one place.
    """
    places = (before, after, around, at, unread or None, cursor)
    if sum(place is not None for place in places) > 1:
        raise problems.invalid(
            {"before": "must stand alone: name one of before, after, around, at, unread and cursor"}
        )
    if cursor is not None:
        before, after = _read_on(cursor)
    window = await database.row("window", member, conversation_id)
    if window is None:
        raise problems.not_found("conversation")
    first, last, left_at, read = window
    is_forwards = after is not None or at is not None
    if at is not None:
        try:
            require_moment("at", at)
        except ValueError as error:
            raise problems.invalid({"at": str(error).removeprefix("at: ")}) from None
        after = await database.value("seq_at", conversation_id, at, first, last) - 1
    if unread:
        after = max(min(read - min(BEFORE_UNREAD, limit // 2), last - limit), 0)
    if around is not None:
        after = around - limit // 2 - 1
        # At the end there is less behind it, so more before it.
        after = max(min(after, last - limit), 0)
    if after is not None:
        lower = max(first, after)
        upper = min(last, lower + limit)
    else:
        upper = min(last, before - 1 if before is not None else last)
        lower = max(first, upper - limit)
    rows = await database.rows("messages_between", conversation_id, lower, upper, limit, left_at)
    items = [Stored.of(row).seen_by(member) for row in rows]
    has_earlier, has_later = lower > first, upper < last
    cursor = None
    if is_forwards and has_later:
        cursor = f"after-{upper}"
    elif not is_forwards and has_earlier:
        cursor = f"before-{lower + 1}"
    return MessagePage(items, 1, limit, cursor, has_earlier, has_later)


class Messages:
    def __init__(self, database: Database, streams: Streams, changes: Changes) -> None:
        self._database = database
        self._streams = streams
        self._changes = changes

    async def sent_before(self, member: UUID, place: Place) -> Message:
        """Return one's own message as it is now, whatever was sent again.

        Raises:
            Problem: 404 if it is gone meanwhile.
        """
        row = await self._database.row("messages_named", [place.conversation_id], [place.seq], 0)
        if row is None:
            raise problems.not_found("message")
        return Stored.of(row).seen_by(member)

    async def edit(self, member: UUID, place: Place, text: str) -> Message:
        """Give one's own message another text, and keep what it said. With pictures it may be empty.

        Raises:
            Problem: 404, 403 for others' messages, or 409 if it is too old or deleted.
        """
        async with self._changing(member, place) as (session, row):
            if row["sender_id"] != member or row["event"] is not None:
                raise problems.forbidden("Only its sender edits a message.")
            if not row["is_editable"]:
                raise problems.conflict(
                    f"A message may be edited for {EDITABLE_HOURS} hours; this one is older."
                )
            if text or not row["has_media"]:
                text = texts.checked(text)
            if text != row["text"]:
                await session.execute("keep_edit", *place)
                await session.execute("edit_message", *place, text)
        return await self._shown(member, place)

    async def delete(self, member: UUID, place: Place) -> None:
        """Leave only a tombstone of a message: its sender may, and in a group its owner and admins.

        Raises:
            Problem: 404, or 403 for others' messages.
        """
        async with self._changing(member, place, is_deletion=True) as (session, row):
            is_admin = row["kind"] == "group" and row["role"] != "member"
            if (row["sender_id"] != member and not is_admin) or row["event"] is not None:
                raise problems.forbidden(
                    "Only its sender deletes a message, or an admin of the group."
                )
            if not row["deleted"]:
                await session.execute("delete_message", *place)
            job_id = await session.value(
                "look_at_notifications", place.conversation_id, None, logs.request_id()
            )
        await self._changes.look(job_id, place.conversation_id, None)

    async def react(self, member: UUID, place: Place, emoji: str) -> None:
        """React to a message; repeating it changes nothing.

        Raises:
            Problem: 404, 409 for a deleted message or one with too many kinds of reactions, or 422.
        """
        texts.require_emoji(emoji)
        async with self._changing(member, place) as (session, row):
            if row["event"] is not None:
                raise problems.conflict(
                    "Nobody reacts to a line of the conversation's own history."
                )
            if await session.value("count_emojis", *place, emoji) >= MAX_EMOJIS:
                raise problems.conflict(f"A message may have {MAX_EMOJIS} kinds of reactions.")
            await session.execute("react", member, *place, emoji)

    async def take_reaction_back(self, member: UUID, place: Place, emoji: str) -> None:
        """Take a reaction back; repeating it changes nothing.

        Raises:
            Problem: 404, 409 for a deleted message, or 422.
        """
        texts.require_emoji(emoji)
        async with self._changing(member, place) as (session, _):
            await session.execute("take_reaction_back", member, *place, emoji)

    async def edits(self, member: UUID, place: Place) -> Sequence[Edit]:
        """Return what a message said before, oldest first.

        Raises:
            Problem: 404.
        """
        await self._shown(member, place)
        rows = await self._database.rows("edits", member, *place)
        return [Edit(*row) for row in rows]

    async def _shown(self, member: UUID, place: Place) -> Message:
        page = await history(
            self._database, member, place.conversation_id, around=place.seq, limit=1
        )
        if not page.items or page.items[0].seq != place.seq:
            raise problems.not_found("message")
        return page.items[0]

    @asynccontextmanager
    async def _changing(
        self, member: UUID, place: Place, *, is_deletion: bool = False
    ) -> AsyncIterator[tuple[Session, Any]]:
        """Lock a message that the member may change; send how it is when that is committed."""
        try:
            async with self._database.transaction() as session:
                row = await session.row("lock_message", member, *place, EDITABLE_HOURS)
                if row is None:
                    raise problems.not_found("message")
                if row["deleted"] and not is_deletion:
                    raise problems.conflict("This message was deleted.")
                if row["is_blocked"] and not is_deletion:
                    raise problems.forbidden(UNAVAILABLE)
                yield session, row
                await session.execute("touch_message", *place)
        except PostgresUnavailableError:
            self._streams.suspect()
            raise
        self._changes.changed(place)


def _read_on(cursor: str) -> tuple[int | None, int | None]:
    direction, _, number = cursor.partition("-")
    if direction in {"before", "after"} and number.isdecimal() and len(number) < 19:
        return (int(number), None) if direction == "before" else (None, int(number))
    raise no_cursor()
