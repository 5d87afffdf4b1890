"""Frames of chat."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

from chitlaq.core.http.pictures import MediaIds
from chitlaq.services.websocket.chat.schemas import ClientId, Message, Seq, Text

MAX_RESUMED = 1000


class Send(msgspec.Struct, tag="send", frozen=True):
    """Send a message: `Ack` once it is stored, else `Error` with the ``client_id``, and nothing is stored.

    ``media_ids`` are pictures that were uploaded (``POST /media``); with them the text may be empty.
    """

    conversation_id: UUID
    text: Text
    client_id: ClientId
    reply_to: Seq | None = None
    media_ids: MediaIds = ()


class Resume(msgspec.Struct, tag="resume", frozen=True):
    """Ask for what was missed: the number of the last message seen, for each conversation.

    ``notifications`` is the position (``updated_at``) of the last notification that was got, or its id.
    """

    conversations: Annotated[
        dict[UUID, Annotated[int, msgspec.Meta(ge=0, le=2**62)]],
        msgspec.Meta(max_length=MAX_RESUMED),
    ]
    notifications: Annotated[str, msgspec.Meta(max_length=40)] | None = None


class Ack(msgspec.Struct, tag="ack", frozen=True):
    """A message is stored, now or when it was sent before."""

    client_id: str
    id: UUID
    seq: int
    conversation_id: UUID


class MessageFrame(Message, tag="message", frozen=True, kw_only=True):
    """A new message in a conversation that the reader takes part in."""


class MessageChanged(Message, tag="message_changed", frozen=True, kw_only=True):
    """A message was edited or deleted, somebody reacted, or a picture is ready: this is how it is now."""


class ConversationChanged(msgspec.Struct, tag="conversation_changed", frozen=True):
    """Somebody came, went or wrote first, or a setting changed: ask for the conversation.

    If it is not there any more, the reader takes part no longer.
    """

    conversation_id: UUID
    version: int


class Read(msgspec.Struct, tag="read", frozen=True):
    """Somebody has read up to a number; ``unread`` is what remains, for their own devices only."""

    conversation_id: UUID
    username: str
    seq: int
    unread: int | msgspec.UnsetType = msgspec.UNSET


class Gap(msgspec.Struct, tag="gap", frozen=True):
    """Too much was missed to replay: read these messages over HTTP.

    If they end before they begin, there is less than was seen, since the database was restored to an earlier
    moment: what follows ``to_seq`` is new.
    """

    conversation_id: UUID
    from_seq: int
    to_seq: int


class Resumed(msgspec.Struct, tag="resumed", frozen=True):
    """Everything that was missed has been sent; what follows is new."""


Incoming = Send | Resume
Outgoing = Ack | MessageFrame | MessageChanged | ConversationChanged | Read | Gap | Resumed
