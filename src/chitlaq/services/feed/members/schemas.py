"""Profiles, in and out."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated
from uuid import UUID

import msgspec

from chitlaq.core.http.schemas import Incoming, normalize, require_name, require_one_line
from chitlaq.core.text import written

MAX_BIO = 500


class ProfileChange(Incoming, frozen=True):
    """Omitted fields stay unchanged."""

    display_name: Annotated[str, msgspec.Meta(max_length=80)] | None = None
    bio: Annotated[str, msgspec.Meta(max_length=MAX_BIO)] | None = None
    department: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    is_private: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.display_name is not None:
            require_name("display_name", self.display_name)
        if self.bio:
            normalize(self, "bio", partial(written.checked, max_graphemes=MAX_BIO))
        require_one_line("department", self.department or "")


class ProfilePrivacy(Incoming, frozen=True):
    """Whether people who are not signed in find a member in lists and by search.

    A private profile is not found by them in any case; a public one is still shown to who knows its name.
    """

    is_found_from_outside: bool


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
