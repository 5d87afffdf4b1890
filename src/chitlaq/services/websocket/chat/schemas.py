"""Bodies of conversations and messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

import msgspec

MAX_CHARACTERS = 4000
MAX_PARTICIPANTS = 500

ClientId = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+$")]
"""The sender's own name for a message, such as a UUID: sending it again does not send it twice."""
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_CHARACTERS)]
Seq = Annotated[int, msgspec.Meta(ge=1, le=2**62)]


class Person(msgspec.Struct, frozen=True):
    username: str
    display_name: str
    avatar_url: str | None


class Reaction(msgspec.Struct, frozen=True):
    count: int
    mine: bool


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message. ``sender`` is null when that account is gone; ``client_id`` is for the sender only."""

    conversation_id: UUID
    id: UUID
    seq: int
    sender: Person | None
    text: str
    sent_at: datetime
    edited_at: datetime | None = None
    deleted: bool = False
    reply_to: int | None = None
    reactions: Mapping[str, Reaction] = {}
    media: Sequence[msgspec.Raw] = ()
    client_id: str | msgspec.UnsetType = msgspec.UNSET

    @classmethod
    def of(cls, row: Any) -> Message:
        """Make a message from a row of ``messages_between``."""
        (conversation_id, id_, seq, _, client_id, text, sent_at, edited_at, is_deleted, reply_to,
         *person) = row  # fmt: skip
        return Message(
            conversation_id=conversation_id,
            id=id_,
            seq=seq,
            sender=Person(*person) if person[0] is not None else None,
            text="" if is_deleted else text,
            sent_at=sent_at,
            edited_at=edited_at,
            deleted=is_deleted,
            reply_to=reply_to,
            client_id=client_id,
        )

    def without_client_id(self) -> Self:
        """Return the message as all but its sender see it."""
        return msgspec.structs.replace(self, client_id=msgspec.UNSET)


class MessagePage(msgspec.Struct, frozen=True):
    """Messages in order. More come before the first one (``before``), or after the last one (``after``)."""

    items: Sequence[Message]
    has_earlier: bool
    has_later: bool


class NewMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: Text
    client_id: ClientId
    reply_to: Seq | None = None


class NewConversation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kind: Literal["direct", "group"]
    members: Annotated[Sequence[str], msgspec.Meta(min_length=1, max_length=MAX_PARTICIPANTS - 1)]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=80)] | None = None


class Participant(Person, frozen=True):
    role: Literal["owner", "admin", "member"]
    state: Literal["invited", "requested", "joined"]


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation as one who takes part sees it; ``unread`` is what others wrote after ``read_seq``."""

    id: UUID
    kind: Literal["direct", "group"]
    name: str | None
    members: Sequence[Participant]
    created_at: datetime
    last_seq: int
    last_at: datetime
    read_seq: int
    unread: int


class ReadUntil(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seq: Annotated[int, msgspec.Meta(ge=0, le=2**62)]
