"""Frames of notifications."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from chitlaq.services.websocket.notifications.schemas import Notification


class NotificationFrame(msgspec.Struct, tag="notification", frozen=True):
    """A notification is new, or another now, and takes the place of the one with its ``id``.

    ``unseen`` and ``unread`` are how many there are, of all.
    """

    notification: Notification
    unseen: int
    unread: int


class NotificationRemoved(msgspec.Struct, tag="notification_removed", frozen=True):
    """What a notification was about is gone, and so is the notification."""

    id: UUID
    unseen: int
    unread: int


class NotificationsRead(msgspec.Struct, tag="notifications_read", frozen=True):
    """Up to these positions (``updated_at``), notifications are read (``until``) and seen, on all devices.

    What remains is ``unseen`` and ``unread``.
    """

    seen_until: datetime | None
    until: datetime | None
    unseen: int
    unread: int


class NotificationsGap(msgspec.Struct, tag="notifications_gap", frozen=True):
    """Too many notifications were missed to replay: read the list over HTTP, which reaches to ``until``."""

    until: datetime


class AnnouncementEnded(msgspec.Struct, tag="announcement_ended", frozen=True):
    """An announcement is a banner no more: dismissed on one of the member's devices, or withdrawn."""

    id: UUID


Outgoing = (
    NotificationFrame
    | NotificationRemoved
    | NotificationsRead
    | NotificationsGap
    | AnnouncementEnded
)
