"""Notifications: as their recipient sees them, and how far they have read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.http import problems
from chitlaq.core.http.paging import Paging, cursor_after, no_cursor
from chitlaq.core.http.schemas import require_moment
from chitlaq.services.websocket.chat.schemas import Person
from chitlaq.services.websocket.notifications.kinds import ABOUT_CONVERSATIONS, ABOUT_POSTS
from chitlaq.services.websocket.notifications.schemas import (
    Actor,
    AnnouncementCard,
    ConversationCard,
    Excerpt,
    Notification,
    NotificationPage,
    Read,
    Reading,
)
from chitlaq.services.websocket.notifications.telling import Telling

ACTORS = 5
NOTHING = Reading(None, None, 0, 0)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Notifications:
    def __init__(self, database: Database, telling: Telling) -> None:
        self._database = database
        self._telling = telling

    async def listed(
        self, member: UUID, paging: Paging, *, is_filtered: bool = False
    ) -> NotificationPage:
        """Return a page of a member's notifications, the latest first.

        What they may not see any more is left out, also before a job has taken it out: the page is
        shorter then.
        """
        before = _position(paging.before) if paging.before else None
        rows = await self._database.rows(
            "notifications", member, before, paging.offset, paging.limit + 1, ACTORS, is_filtered
        )
        has_more = len(rows) > paging.limit
        after = cursor_after(_as_id(rows[paging.limit - 1]["position"])) if has_more else None
        items = await shown(self._database, member, rows[: paging.limit])
        counted = rows[0] if rows else await self._database.row("reading", member)
        unseen, unread = (counted["unseen"], counted["unread"]) if counted else (0, 0)
        return NotificationPage(items, paging.page, paging.limit, after, unseen, unread)

    async def mark_read(self, member: UUID, read: Read) -> Reading:
        """Note how far a member has read or seen, on all devices; a position that is passed changes nothing.

        Raises:
            Problem: 422 for what is neither a position nor a notification of the member's.
        """
        async with self._telling.committing(self._database.transaction()) as session:
            await session.rows("lock_notified", [member])
            seen = await _until(session, member, "seen_until", read.seen_until)
            until = await _until(session, member, "until", read.until)
            row = await session.row("mark_notifications", member, seen, until)
        if row is None:
            return NOTHING
        reading = Reading(row["seen_until"], row["read_until"], row["unseen"], row["unread"])
        if row["is_changed"]:
            await self._telling.after_read(member, reading)
        return reading


async def shown(database: Database, member: UUID, rows: Sequence[Any]) -> Sequence[Notification]:
    """Return the groups of these rows, without those that the member may not see any more."""
    posts = {row["subject_id"] for row in rows if row["kind"] in ABOUT_POSTS}
    conversations = {row["subject_id"] for row in rows if row["kind"] in ABOUT_CONVERSATIONS}
    actors = {actor for row in rows for actor in row["actors"]}
    if not rows:
        return []
    (seen,) = await database.rows(
        "seen_of_subjects", member, list(posts), list(conversations), list(actors)
    )
    about: dict[UUID, Excerpt | ConversationCard] = {
        post[0]: Excerpt(post[0], Person(*post[1:4]), *post[4:]) for post in seen["posts"]
    }
    about |= {card[0]: ConversationCard(*card) for card in seen["conversations"]}
    cards = {card[0]: Actor(*card[1:]) for card in seen["members"]}
    found = (_notification(member, row, about, cards) for row in rows)
    return [one for one in found if one is not None]


def _notification(
    member: UUID,
    row: Any,
    about: Mapping[UUID, Excerpt | ConversationCard],
    cards: Mapping[UUID, Actor],
) -> Notification | None:
    """Return a notification, or None if the member may see none of it."""
    others = [actor for actor in row["actors"] if actor != member]
    actors = [cards[actor] for actor in others if actor in cards]
    subject = about.get(row["subject_id"])
    is_about = row["kind"] in ABOUT_POSTS | ABOUT_CONVERSATIONS
    is_withdrawn = row["kind"] == "announcement" and row["expires_at"] is None
    if (is_about and subject is None) or (others and not actors) or is_withdrawn:
        return None
    return Notification(
        id=row["id"],
        kind=row["kind"],
        actors=actors,
        count=row["count"] - len(others) + len(actors),
        post=subject if isinstance(subject, Excerpt) else None,
        conversation=subject if isinstance(subject, ConversationCard) else None,
        announcement=(
            AnnouncementCard(row["subject_id"], row["expires_at"])
            if row["kind"] == "announcement"
            else None
        ),
        text=row["text"],
        created_at=row["created_at"],
        updated_at=row["position"],
        seen=row["is_seen"],
        read=row["is_read"],
    )


async def _until(session: Session, member: UUID, name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return await session.value("position_of", member, UUID(text)) or _unknown(name)
    except ValueError:
        return position(name, text)


def position(name: str, text: str) -> datetime:
    """Return a position that a client names.

    Raises:
        Problem: 422 if it is none.
    """
    try:
        found = msgspec.convert(text, datetime, strict=False)
        require_moment(name, found)
    except ValueError:
        return _unknown(name)
    return found


def _unknown(name: str) -> datetime:
    raise problems.invalid({name: "is neither an `updated_at` nor the id of a notification"})


def _as_id(position: datetime) -> UUID:
    """Return a position as what `Paging` reads from a cursor."""
    return UUID(int=(position - _EPOCH) // _MICROSECOND)


def _position(id_: UUID) -> datetime:
    try:
        return _EPOCH + id_.int * _MICROSECOND
    except OverflowError:
        raise no_cursor() from None
