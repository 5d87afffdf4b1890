"""Bodies of conversations and messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from chitlaq.core.http.pictures import MediaIds, Picture
from chitlaq.core.http.schemas import Incoming, require_moment, require_name

MAX_GRAPHEMES = 4000
MAX_CHARACTERS = 16_000
"""Code points: what `MAX_GRAPHEMES` are in writing that combines several into each."""
MAX_PARTICIPANTS = 500
MAX_SEQ = 2**62

ClientId = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+$")]
"""The sender's own name for a message, such as a UUID: sending it again does not send it twice."""
Text = Annotated[str, msgspec.Meta(max_length=MAX_CHARACTERS)]
"""At most `MAX_GRAPHEMES`, counted by `texts.checked`, and something, unless there are pictures."""
Seq = Annotated[int, msgspec.Meta(ge=1, le=MAX_SEQ)]
Username = Annotated[str, msgspec.Meta(max_length=30)]


class Person(msgspec.Struct, frozen=True):
    username: str
    display_name: str
    avatar_url: str | None


class Reaction(msgspec.Struct, frozen=True):
    count: int
    mine: bool


Event = Literal[
    "renamed", "picture_changed", "picture_removed", "added", "invited", "joined", "removed", "left",
    "promoted",
]  # fmt: skip


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message. ``sender`` is null when that account is gone; ``client_id`` is for the sender only.

    With ``event`` it is a line of the conversation's own history: what the sender did, and to whom
    (``subject``, a username); the text is then a new name, or empty. ``folded`` messages are from somebody
    whom the reader blocks. ``mentions`` are the usernames that the text names. ``lost_pictures`` is how many
    failed or were removed, beside those of ``media``; left out if none did.
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
    event: Event | None = None
    subject: str | None = None
    mentions: Sequence[str] = ()
    reactions: Mapping[str, Reaction] = {}
    media: Sequence[Picture] = ()
    lost_pictures: int | msgspec.UnsetType = msgspec.UNSET
    folded: bool = False
    client_id: str | msgspec.UnsetType = msgspec.UNSET


class MessagePage(msgspec.Struct, frozen=True):
    """Messages in order. ``next_cursor`` reads on: later ones with ``after`` or ``at``, else earlier ones."""

    items: Sequence[Message]
    page: int
    limit: int
    next_cursor: str | None
    has_earlier: bool
    has_later: bool


class Edit(msgspec.Struct, frozen=True):
    """What a message said until then."""

    text: str
    replaced_at: datetime


class NewText(Incoming, frozen=True):
    text: Text


class NewMessage(Incoming, frozen=True):
    text: Text
    client_id: ClientId
    reply_to: Seq | None = None
    media_ids: MediaIds = ()


Name = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]


class NewConversation(Incoming, frozen=True):
    """Who is written to. A group has a name, and may show what was said before to those who join later."""

    kind: Literal["direct", "group"]
    members: Annotated[
        Sequence[Username], msgspec.Meta(min_length=1, max_length=MAX_PARTICIPANTS - 1)
    ]
    name: Name | None = None
    is_history_visible: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.name is not None:
            require_name("name", self.name)


class ConversationChange(Incoming, frozen=True):
    """What changes: ``name``, ``picture_id`` and ``is_history_visible`` for all, the rest for oneself only.

    ``picture_id`` is a picture that one uploaded (``POST /media``), and null for none.
    """

    name: Name | msgspec.UnsetType = msgspec.UNSET
    picture_id: UUID | msgspec.UnsetType | None = msgspec.UNSET
    is_history_visible: bool | msgspec.UnsetType = msgspec.UNSET
    muted_until: datetime | msgspec.UnsetType | None = msgspec.UNSET
    archived: bool | msgspec.UnsetType = msgspec.UNSET
    pinned: bool | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.name, str):
            require_name("name", self.name)
        if isinstance(self.muted_until, datetime):
            require_moment("muted_until", self.muted_until)


Role = Literal["owner", "admin", "member"]
State = Literal["invited", "requested", "joined"]
Folder = Literal["inbox", "requests", "archived"]


class Membership(Incoming, frozen=True):
    """The role to give; without one, the member is added, or accepts."""

    role: Role | None = None


class Participant(Person, frozen=True):
    """``read_seq`` is how far they have read, if both show that."""

    role: Role
    state: State
    read_seq: int | None


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation as one who takes part sees it: ``role``, ``state`` and settings are the reader's own.

    ``unread`` is what others wrote after ``read_seq``, among the latest 200 messages; ``last`` is the
    latest message that the reader may see. ``version`` grows when somebody comes or goes, or a setting
    changes.
    """

    id: UUID
    kind: Literal["direct", "group"]
    name: str | None
    picture: Picture | None
    members: Sequence[Participant]
    is_history_visible: bool
    created_at: datetime
    last_seq: int
    last_at: datetime
    version: int
    role: Role
    state: State
    read_seq: int
    unread: int
    last: Message | None
    muted_until: datetime | None
    archived: bool
    pinned: bool


class ReadUntil(Incoming, frozen=True):
    seq: Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQ)]


class UnreadFrom(Incoming, frozen=True):
    seq: Seq


class UnreadTotals(msgspec.Struct, frozen=True):
    """In how many conversations something is unread, but for muted and archived ones; how many ask."""

    conversations: int
    requests: int


class Privacy(Incoming, frozen=True):
    """Who may write first, and what others see. Who does not show it does not see it of others."""

    may_message: Literal["everyone", "university", "followed", "nobody"] = "everyone"
    shares_read: bool = True
    shares_presence: bool = True
