"""Frames that arrive on the WebSocket; a type that is not listed is of a newer server, and passed over."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from chitlaq.client.shapes import Message, Notification, Post


class Frame(msgspec.Struct, frozen=True):
    """The part of a frame that says how to read the rest."""

    type: str


class SignedIn(msgspec.Struct, frozen=True):
    expires_at: int


class Resumed(msgspec.Struct, frozen=True):
    pass


class Reconnect(msgspec.Struct, frozen=True):
    within_seconds: int


class Failure(msgspec.Struct, frozen=True):
    """What was refused."""

    detail: str
    status: int
    client_id: str | None = None


class Ack(msgspec.Struct, frozen=True):
    client_id: str
    id: UUID
    seq: int
    conversation_id: UUID


class Gap(msgspec.Struct, frozen=True):
    """More than is replayed was missed: messages, or changes of messages, between these numbers.

    If they end before they begin, there are no more messages than to ``to_seq``, as after a restore.
    """

    conversation_id: UUID
    from_seq: int
    to_seq: int


class MessageChanged(Message, frozen=True, kw_only=True):
    """A message was edited or deleted, or somebody reacted: this is how it is now."""


class ConversationChanged(msgspec.Struct, frozen=True):
    """Somebody came, went or wrote first, or a setting changed: ask for the conversation."""

    conversation_id: UUID
    version: int


class Read(msgspec.Struct, frozen=True):
    """Somebody has read up to a number; with ``unread`` it is oneself, and that is what remains."""

    conversation_id: UUID
    username: str
    seq: int
    unread: int | None = None


class IsTyping(msgspec.Struct, frozen=True):
    """Somebody is typing; unless it is said again, they stop after ``seconds``."""

    conversation_id: UUID
    username: str
    seconds: int


class Presence(msgspec.Struct, frozen=True):
    """Whether somebody who is watched is connected."""

    username: str
    online: bool


class PostWritten(msgspec.Struct, frozen=True):
    """A member whom one follows wrote a post."""

    post: Post


class Notified(msgspec.Struct, frozen=True):
    """A notification is new, or another now, in the place of the one with its id; and the counters."""

    notification: Notification
    unseen: int
    unread: int


class NotificationRemoved(msgspec.Struct, frozen=True):
    """What a notification was about is gone, and so is the notification."""

    id: UUID
    unseen: int
    unread: int


class NotificationsRead(msgspec.Struct, frozen=True):
    """Notifications are read (``until``) and seen up to these positions, on all devices; and what remains."""

    until: datetime | None
    seen_until: datetime | None
    unseen: int
    unread: int


class NotificationsGap(msgspec.Struct, frozen=True):
    """More notifications were missed than are replayed: read the list, which reaches to ``until``."""

    until: datetime


class AnnouncementEnded(msgspec.Struct, frozen=True):
    """An announcement is a banner no more: dismissed on one of the devices, or withdrawn."""

    id: UUID


Event = (
    Gap
    | MessageChanged
    | ConversationChanged
    | Read
    | IsTyping
    | Presence
    | PostWritten
    | Notified
    | NotificationRemoved
    | NotificationsRead
    | NotificationsGap
    | AnnouncementEnded
)
"""What an application is told beside messages; a `Gap` is of changes: these messages are to be read anew."""

KINDS: Mapping[str, type[msgspec.Struct]] = {
    "signed_in": SignedIn,
    "resumed": Resumed,
    "reconnect": Reconnect,
    "error": Failure,
    "ack": Ack,
    "message": Message,
    "gap": Gap,
    "message_changed": MessageChanged,
    "conversation_changed": ConversationChanged,
    "read": Read,
    "typing": IsTyping,
    "presence": Presence,
    "post": PostWritten,
    "notification": Notified,
    "notification_removed": NotificationRemoved,
    "notifications_read": NotificationsRead,
    "notifications_gap": NotificationsGap,
    "announcement_ended": AnnouncementEnded,
}
