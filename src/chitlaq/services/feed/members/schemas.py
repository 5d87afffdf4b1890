"""Profiles and privacy, in and out."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from chitlaq.core.http.schemas import Incoming, normalize, require_name, require_one_line
from chitlaq.core.text import tokens, written

MAX_BIO = 500
MAX_FIELDS = 4

Audience = Literal["everyone", "university", "followed", "nobody"]
"""Whom a member lets do something: all who are signed in, those of the member's university, those whom
the member follows, or nobody."""


class ProfileField(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of one's own in a profile: "Office", "Room 214"."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    value: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class ProfileChange(Incoming, frozen=True):
    """Omitted fields stay unchanged. `graduation_year` is as in "class of 2027"; null takes it away."""

    display_name: Annotated[str, msgspec.Meta(max_length=80)] | None = None
    bio: Annotated[str, msgspec.Meta(max_length=MAX_BIO)] | None = None
    pronouns: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    department: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    graduation_year: Annotated[int, msgspec.Meta(ge=1900, le=2100)] | msgspec.UnsetType | None = (
        msgspec.UNSET
    )
    fields: Annotated[list[ProfileField], msgspec.Meta(max_length=MAX_FIELDS)] | None = None
    is_private: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.display_name is not None:
            require_name("display_name", self.display_name)
        if self.bio:
            normalize(self, "bio", partial(written.checked, max_graphemes=MAX_BIO))
        require_one_line("pronouns", self.pronouns or "")
        require_one_line("department", self.department or "")
        for number, field in enumerate(self.fields or ()):
            require_name(f"fields[{number}].name", field.name)
            require_name(f"fields[{number}].value", field.value)


class Privacy(msgspec.Struct, frozen=True):
    """What a member lets others do; `is_found_from_outside` is about those who are not signed in."""

    may_message: Literal["everyone", "university", "followed", "nobody"]
    may_mention: Audience
    may_find: Audience
    may_see_followers: Audience
    is_found_from_outside: bool


class PrivacyChange(Incoming, frozen=True):
    """Omitted fields stay unchanged.

    A private profile is never found by those who are not signed in, nor is one that not everyone may find;
    a public one is still shown to who knows its name.
    """

    may_message: Literal["everyone", "university", "followed", "nobody"] | None = None
    may_mention: Audience | None = None
    may_find: Audience | None = None
    may_see_followers: Audience | None = None
    is_found_from_outside: bool | None = None


class Profile(msgspec.Struct, frozen=True):
    """A member as one viewer sees them.

    `bio_links` are the addresses in `bio` that are links. The flags are about the viewer: `is_requested` says
    that the viewer waits to be let follow a private member, `shows_followers` whether the viewer may list
    whom the member follows and who follows them.
    """

    id: UUID
    username: str
    display_name: str
    bio: str
    bio_links: tuple[str, ...]
    pronouns: str
    department: str
    graduation_year: int | None
    fields: list[ProfileField]
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

    @classmethod
    def of(cls, row: Any) -> Profile:
        columns = dict(row)
        fields = msgspec.json.decode(columns.pop("fields"), type=list[ProfileField])
        return cls(**columns, fields=fields, bio_links=tokens.parsed(columns["bio"]).links)
