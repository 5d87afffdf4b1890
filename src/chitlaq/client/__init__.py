"""The SDK: an asynchronous client of a ChitLaq installation (docs/client.md).

It knows the public API and nothing of how it is served.
"""

from __future__ import annotations

from chitlaq.client.chat import Chat
from chitlaq.client.errors import ApiError, ClientError, SignedOutError, UnreachableError
from chitlaq.client.frames import (
    ConversationChanged,
    Event,
    Gap,
    IsTyping,
    MessageChanged,
    NotificationRemoved,
    NotificationsGap,
    NotificationsRead,
    Notified,
    PostWritten,
    Presence,
    Read,
)
from chitlaq.client.outbox import Acknowledged, RefusedError
from chitlaq.client.session import Session, Tokens
from chitlaq.client.shapes import (
    Conversation,
    Edit,
    Message,
    MessagePage,
    Notification,
    NotificationPage,
    Page,
    Participant,
    Person,
    Post,
    Privacy,
    Reaction,
    User,
)

__all__ = [
    "Acknowledged",
    "ApiError",
    "Chat",
    "ClientError",
    "Conversation",
    "ConversationChanged",
    "Edit",
    "Event",
    "Gap",
    "IsTyping",
    "Message",
    "MessageChanged",
    "MessagePage",
    "Notification",
    "NotificationPage",
    "NotificationRemoved",
    "NotificationsGap",
    "NotificationsRead",
    "Notified",
    "Page",
    "Participant",
    "Person",
    "Post",
    "PostWritten",
    "Presence",
    "Privacy",
    "Reaction",
    "Read",
    "RefusedError",
    "Session",
    "SignedOutError",
    "Tokens",
    "UnreachableError",
    "User",
]
