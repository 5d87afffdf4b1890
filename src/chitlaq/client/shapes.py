"""What the API answers, as far as the client reads it; fields that it does not know are passed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

import msgspec

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list; ``next_cursor`` asks for the next, and is None on the last."""

    items: Sequence[T]
    next_cursor: str | None = None


class Person(msgspec.Struct, frozen=True):
    username: str
    display_name: str
    avatar_url: str | None = None


class User(msgspec.Struct, frozen=True):
    """A member, as search and sign-in show them."""

    id: UUID
    username: str
    display_name: str


class Post(msgspec.Struct, frozen=True):
    id: UUID
    author: Person
    text: str
    visibility: str
    created_at: datetime
    edited_at: datetime | None
    likes: int
    replies: int


class Participant(Person, frozen=True, kw_only=True):
    role: str
    state: str


class Conversation(msgspec.Struct, frozen=True):
    """A conversation; ``unread`` is what others wrote after ``read_seq``."""

    id: UUID
    kind: str
    name: str | None
    members: Sequence[Participant]
    last_seq: int
    read_seq: int
    unread: int


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message. ``sender`` is None if that account is gone; ``client_id`` is only in one's own.

    With ``event`` it is a line of a group's own history: what the sender did, and to whom (``subject``).
    """

    conversation_id: UUID
    id: UUID
    seq: int
    sender: Person | None
    text: str
    sent_at: datetime
    edited_at: datetime | None = None
    deleted: bool = False
    reply_to: int | None = None
    event: str | None = None
    subject: str | None = None
    folded: bool = False
    client_id: str | None = None


class MessagePage(msgspec.Struct, frozen=True):
    """Messages in order, and whether there are more before and after them."""

    items: Sequence[Message]
    has_earlier: bool
    has_later: bool


class SignedIn(msgspec.Struct, frozen=True):
    access_token: str
    refresh_token: str
    user: User


class Failure(msgspec.Struct, frozen=True):
    """A frame that says what was refused."""

    detail: str
    status: int
    client_id: str | None = None


class Frame(msgspec.Struct, frozen=True):
    """The part of a frame that says how to read the rest."""

    type: str


class Ack(msgspec.Struct, frozen=True):
    client_id: str
    id: UUID
    seq: int
    conversation_id: UUID


class Gap(msgspec.Struct, frozen=True):
    conversation_id: UUID
    to_seq: int


class Reconnect(msgspec.Struct, frozen=True):
    within_seconds: float


class SignedInFrame(msgspec.Struct, frozen=True):
    expires_at: int


Parameters = Mapping[str, str | int | None]
