"""Bodies of notifications."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from chitlaq.core.http.paging import Page
from chitlaq.core.http.schemas import Incoming
from chitlaq.services.websocket.chat.schemas import Person
from chitlaq.services.websocket.notifications.kinds import Kind


class Actor(Person, frozen=True):
    department: str
    university: str


class Excerpt(msgspec.Struct, frozen=True):
    """The post that a notification is about, as it is now; all of it is read by its id."""

    id: UUID
    author: Person
    text: str
    content_warning: str | None
    visibility: str
    reply_to: UUID | None
    quote_of: UUID | None
    created_at: datetime
    edited_at: datetime | None


class ConversationCard(msgspec.Struct, frozen=True):
    """The conversation that a notification is about; one of two has no ``name``."""

    id: UUID
    kind: Literal["direct", "group"]
    name: str | None


class AnnouncementCard(msgspec.Struct, frozen=True):
    """The announcement that a notification is about, which is a banner until it expires or is dismissed."""

    id: UUID
    expires_at: datetime


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """What one or several did with the same thing.

    ``actors`` are up to five of them, the last one first; ``count`` is how many there are. ``updated_at`` is
    its position: unique among a member's notifications, and later when it has grown.
    """

    id: UUID
    kind: Kind
    actors: Sequence[Actor]
    count: int
    post: Excerpt | None = None
    conversation: ConversationCard | None = None
    announcement: AnnouncementCard | None = None
    text: str | None = None
    created_at: datetime
    updated_at: datetime
    seen: bool
    read: bool


class NotificationPage(Page[Notification]):
    """Notifications, the latest first. ``unseen`` and ``unread`` count all, not those of the page."""

    unseen: int
    unread: int


Until = Annotated[str, msgspec.Meta(max_length=64)]


class Read(Incoming, frozen=True):
    """Up to where one has read (``until``), and seen: an ``updated_at``, or the id of a notification."""

    until: Until | None = None
    seen_until: Until | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.until is None and self.seen_until is None:
            raise ValueError("until: must say up to where")


class Reading(msgspec.Struct, frozen=True):
    """Up to where a member has seen and read, or null; how many notifications are later than that."""

    seen_until: datetime | None
    read_until: datetime | None
    unseen: int
    unread: int
