"""Posts and members as every slice shows them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

import msgspec

from chitlaq.core.http.pictures import Picture

Visibility = Literal["public", "university", "followers", "mentioned", "self"]
QuotableBy = Literal["everyone", "followers", "nobody"]


class Author(msgspec.Struct, frozen=True):
    username: str
    display_name: str
    avatar_url: str | None


class Reposter(Author, frozen=True, kw_only=True):
    """Who shared a post; ``id`` is the repost's own, which stands for the item in ``after``."""

    id: UUID


class PostContent(msgspec.Struct, frozen=True):
    """What a post says: the same for everybody who may read it, until its version changes.

    ``quote_detached``: it quoted a post whose author did not want that. ``quotable_by``: who else may quote
    it, if it is public or for a university.
    """

    id: UUID
    text: str
    visibility: Visibility
    reply_to: UUID | None
    quote_of: UUID | None
    quote_detached: bool
    quotable_by: QuotableBy
    created_at: datetime
    edited_at: datetime | None
    content_warning: str | None
    mentions: Sequence[str]
    tags: Sequence[str]
    media: Sequence[Picture]


class PollOption(msgspec.Struct, frozen=True):
    """``votes`` is null until the viewer has voted or the poll has ended; its author always sees it."""

    text: str
    votes: int | None


class Poll(msgspec.Struct, frozen=True):
    """The poll of a post; ``voted`` are the numbers of the options that the viewer chose, from 0, or null."""

    options: Sequence[PollOption]
    voters: int
    expires_at: datetime
    multiple: bool
    voted: Sequence[int] | None
    ended: bool


class Post(PostContent, frozen=True, kw_only=True):
    """A post as one viewer sees it.

    Counters leave out what the viewer may not see; ``liked``, ``reposted`` and ``bookmarked`` are about the
    viewer. ``quote`` is the quoted post, or null if the viewer may not read it, or if one of the two authors
    blocks the other. Of a quoted post, the post that it quotes itself is only named.
    """

    author: Author
    likes: int
    replies: int
    reposts: int
    liked: bool
    reposted: bool
    bookmarked: bool
    poll: Poll | None = None
    quote: Post | None = None
    reposted_by: Reposter | msgspec.UnsetType = msgspec.UNSET


class MemberCard(msgspec.Struct, frozen=True):
    username: str
    display_name: str
    department: str
    university: str
    avatar_url: str | None

    @classmethod
    def of(cls, row: Any) -> Self:
        """Make a card from a row that begins with the member's id."""
        _id, *columns = row
        return cls(*columns)
