"""What the API answers, as far as the client reads it; fields that it does not know are passed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar
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


class FoundPage(Page[T], Generic[T], frozen=True, kw_only=True):
    """What was found: ``total`` are all, or if it is not exact, the least that there are."""

    total: int
    is_total_exact: bool


class SnippetPart(msgspec.Struct, frozen=True):
    """A part of a text as it was written, and whether it is what was searched for."""

    text: str
    is_match: bool


class FoundPost(msgspec.Struct, frozen=True):
    """A post as search shows it: its text, or the part of a long one that matches."""

    id: UUID
    author: Person
    snippet: Sequence[SnippetPart]
    created_at: datetime
    content_warning: str | None = None


class FoundMessage(msgspec.Struct, frozen=True):
    """A message as search shows it; its place in the conversation is ``seq``."""

    conversation_id: UUID
    seq: int
    sender: Person | None
    snippet: Sequence[SnippetPart]
    sent_at: datetime


class Picture(msgspec.Struct, frozen=True):
    """A picture of a post, a message or a group; ``blurhash`` is None until it is ready.

    ``still_url`` is that of an animation that stands still, and None for other pictures.
    """

    id: UUID
    url: str
    width: int
    height: int
    alt: str
    blurhash: str | None
    still_url: str | None


class PollOption(msgspec.Struct, frozen=True):
    """``votes`` is None until one has voted or the poll has ended."""

    text: str
    votes: int | None


class Poll(msgspec.Struct, frozen=True):
    """``voted`` are the numbers of the options that one chose, from 0, or None."""

    options: Sequence[PollOption]
    voters: int
    expires_at: datetime
    multiple: bool
    voted: Sequence[int] | None
    ended: bool


class Post(msgspec.Struct, frozen=True):
    """A post as one sees it; ``quote`` is the quoted post, or None if one may not read it."""

    id: UUID
    author: Person
    text: str
    visibility: str
    reply_to: UUID | None
    quote_of: UUID | None
    quotable_by: str
    created_at: datetime
    edited_at: datetime | None
    content_warning: str | None
    mentions: Sequence[str]
    tags: Sequence[str]
    media: Sequence[Picture]
    likes: int
    replies: int
    reposts: int
    liked: bool
    reposted: bool
    bookmarked: bool
    poll: Poll | None
    quote: Post | None
    reposted_by: Person | None = None


class Place(msgspec.Struct, frozen=True):
    """A post's place in its thread; ``post`` is None if it is deleted, or not for one to read."""

    id: UUID
    deleted: bool
    post: Post | None


class Branch(Place, frozen=True):
    """A post and what answers it, oldest first; ``next_cursor`` continues at its own thread."""

    replies: Sequence[Branch]
    next_cursor: str | None


class Thread(Branch, frozen=True, kw_only=True):
    """A post with its branches, and those above it, the nearest last; ``has_earlier``: there are more."""

    ancestors: Sequence[Place]
    has_earlier: bool


class TrendingTag(msgspec.Struct, frozen=True):
    """``spelling`` is as most write it; counts are of the last day."""

    tag: str
    spelling: str
    authors: int
    posts: int


class Media(msgspec.Struct, frozen=True):
    """One's own picture: ``processing``, ``ready``, or ``failed`` with a ``reason``."""

    id: UUID
    state: str
    url: str
    width: int
    height: int
    alt: str
    blurhash: str | None
    is_animated: bool
    still_url: str | None
    reason: str | None


class Draft(msgspec.Struct, frozen=True):
    """A draft of one's own: ``post`` is what is to be written; ``failure`` says why it was not."""

    id: UUID
    post: Mapping[str, Any]
    scheduled_at: datetime | None
    failure: str | None
    created_at: datetime
    updated_at: datetime


class Profile(msgspec.Struct, frozen=True):
    """A member as one sees them."""

    id: UUID
    username: str
    display_name: str
    bio: str
    pronouns: str
    department: str
    graduation_year: int | None
    university: str
    avatar_url: str | None
    banner_url: str | None
    is_private: bool
    followers: int
    following: int
    posts: int
    created_at: datetime
    is_followed: bool
    follows_you: bool
    is_requested: bool
    is_blocked: bool
    is_muted: bool
    shows_followers: bool


class Suggestion(msgspec.Struct, frozen=True):
    """Whom one may want to follow, and ``why``, in English."""

    username: str
    display_name: str
    department: str
    university: str
    avatar_url: str | None
    reason: str
    count: int
    why: str


class Participant(Person, frozen=True, kw_only=True):
    """``read_seq`` is how far they have read, if both show that."""

    role: str
    state: str
    read_seq: int | None


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation; ``role``, ``state`` and settings are one's own.

    ``unread`` is what others wrote after ``read_seq``, of the latest 200 messages; ``last`` is the
    latest that one may see.
    """

    id: UUID
    kind: str
    name: str | None
    picture: Picture | None
    members: Sequence[Participant]
    is_history_visible: bool
    created_at: datetime
    last_seq: int
    last_at: datetime
    version: int
    role: str
    state: str
    read_seq: int
    unread: int
    last: Message | None
    muted_until: datetime | None
    archived: bool
    pinned: bool


class Reaction(msgspec.Struct, frozen=True):
    count: int
    mine: bool


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message. ``sender`` is None if that account is gone; ``client_id`` is only in one's own.

    With ``event`` it is a line of a group's own history: what the sender did, and to whom (``subject``).
    ``folded`` messages are from somebody whom one blocks; ``mentions`` are usernames. ``lost_pictures`` is
    how many of its pictures failed or were removed.
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
    mentions: Sequence[str] = ()
    reactions: Mapping[str, Reaction] = {}
    media: Sequence[Picture] = ()
    lost_pictures: int | None = None
    folded: bool = False
    client_id: str | None = None


class MessagePage(msgspec.Struct, frozen=True):
    """Messages in order, and whether there are more before and after them."""

    items: Sequence[Message]
    has_earlier: bool
    has_later: bool


class Edit(msgspec.Struct, frozen=True):
    """What a message said until then."""

    text: str
    replaced_at: datetime


class Actor(Person, frozen=True, kw_only=True):
    """Who did what one is told of."""

    department: str
    university: str


class ConversationCard(msgspec.Struct, frozen=True):
    """The conversation that a notification is about; ``name`` is None for one of two."""

    id: UUID
    kind: str
    name: str | None


class Excerpt(msgspec.Struct, frozen=True):
    """The post that a notification is about."""

    id: UUID
    author: Person
    text: str
    content_warning: str | None
    visibility: str
    reply_to: UUID | None
    quote_of: UUID | None
    created_at: datetime
    edited_at: datetime | None


class AnnouncementCard(msgspec.Struct, frozen=True):
    """The announcement that a notification is about."""

    id: UUID
    expires_at: datetime


class Banner(msgspec.Struct, frozen=True):
    """What the university announces, until it expires or is dismissed."""

    id: UUID
    text: str
    created_at: datetime
    expires_at: datetime


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """What one is told: up to five ``actors``, of ``count``, and what they did it to.

    It grows while it is unread: ``updated_at`` is its position then, and its ``id`` stays.
    """

    id: UUID
    kind: str
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


class NotificationPage(Page[Notification], frozen=True, kw_only=True):
    """Notifications, the latest first, and how many of all are unseen and unread."""

    unseen: int
    unread: int


class Privacy(msgspec.Struct, frozen=True):
    """What others may do, and see of one.

    Who may write first is ``everyone``, ``university``, ``followed`` or ``nobody``.
    """

    may_message: str = "everyone"
    shares_read: bool = True
    shares_presence: bool = True


class SignedIn(msgspec.Struct, frozen=True):
    access_token: str
    refresh_token: str
    user: User


Parameters = Mapping[str, str | int | None]
