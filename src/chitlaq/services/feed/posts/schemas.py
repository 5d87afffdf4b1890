"""What crosses the border of feed-service."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from chitlaq.core.http.schemas import Incoming

Visibility = Literal["public", "university", "followers", "self"]
PostText = Annotated[str, msgspec.Meta(max_length=5000)]


class NewPost(Incoming, frozen=True):
    text: PostText
    visibility: Visibility = "public"
    reply_to: UUID | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.text.strip():
            raise ValueError("text: must not be empty")


class PostChange(Incoming, frozen=True):
    """What is left out stays as it is."""

    text: PostText | None = None
    visibility: Visibility | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.text is not None and not self.text.strip():
            raise ValueError("text: must not be empty")


class ProfileChange(Incoming, frozen=True):
    """What is left out stays as it is."""

    display_name: Annotated[str, msgspec.Meta(max_length=80)] | None = None
    bio: Annotated[str, msgspec.Meta(max_length=500)] | None = None
    department: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    is_private: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.display_name is not None and not self.display_name.strip():
            raise ValueError("display_name: must not be empty")


class Author(msgspec.Struct, frozen=True):
    username: str
    display_name: str
    avatar_url: str | None


class Post(msgspec.Struct, frozen=True):
    """A post as one viewer sees it; ``liked`` is about the viewer."""

    id: UUID
    author: Author
    text: str
    visibility: Visibility
    reply_to: UUID | None
    created_at: datetime
    edited_at: datetime | None
    likes: int
    replies: int
    reposts: int
    liked: bool

    @classmethod
    def of(cls, row: Any) -> Post:
        """Make a post of a row of ``feed.readable_posts``; unpacking is ten times faster than names."""
        (
            id,  # noqa: A001
            _author_id,
            username,
            display_name,
            avatar_url,
            text,
            visibility,
            reply_to,
            likes,
            replies,
            reposts,
            created_at,
            edited_at,
            liked,
        ) = row
        return cls(
            id,
            Author(username, display_name, avatar_url),
            text,
            visibility,
            reply_to,
            created_at,
            edited_at,
            likes,
            replies,
            reposts,
            liked,
        )


class Profile(msgspec.Struct, frozen=True):
    """A member as one viewer sees them; ``is_followed`` is about the viewer."""

    id: UUID
    username: str
    display_name: str
    bio: str
    department: str
    university: str
    avatar_url: str | None
    is_private: bool
    followers: int
    following: int
    posts: int
    created_at: datetime
    is_followed: bool


class MemberCard(msgspec.Struct, frozen=True):
    username: str
    display_name: str
    department: str
    university: str
    avatar_url: str | None
