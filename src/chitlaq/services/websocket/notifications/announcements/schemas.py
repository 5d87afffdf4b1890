"""Bodies of announcements."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from chitlaq.core.http.schemas import Incoming, normalize, require_moment, require_name
from chitlaq.core.text import written

MAX_GRAPHEMES = 1000
MAX_CHARACTERS = 5000

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
State = Literal["delivering", "paused", "delivered", "cancelled", "withdrawing", "withdrawn"]
Wanted = Literal["delivering", "paused", "cancelled", "withdrawn"]

_checked = partial(written.checked, max_graphemes=MAX_GRAPHEMES)


class NewAnnouncement(Incoming, frozen=True):
    """What to announce, and to whom: to all, to a university, or to a department of it, by name.

    Until ``expires_at`` it is a banner: for a week, unless another time is said.
    """

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_CHARACTERS)]
    university: Name | None = None
    department: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        normalize(self, "text", _checked)
        for field in ("university", "department"):
            if (name := getattr(self, field)) is not None:
                require_name(field, name)
        if self.department is not None and self.university is None:
            raise ValueError("department: needs its university, too")
        if self.expires_at is not None:
            require_moment("expires_at", self.expires_at)


class AnnouncementWork(NewAnnouncement, frozen=True, kw_only=True):
    """What an operator announces."""

    operator: Name


class Change(Incoming, frozen=True):
    """What an announcement is to be.

    ``paused``, it goes on when it is to be ``delivering`` again; ``cancelled``, nobody else is told and the
    banner ends; ``withdrawn``, what was told is taken out, too.
    """

    state: Wanted


class ChangeWork(Change, frozen=True, kw_only=True):
    """What an operator wants it to be."""

    operator: Name


class Audience(msgspec.Struct, frozen=True):
    """How many members would be told."""

    recipients: int


class Banner(msgspec.Struct, frozen=True):
    """An announcement that is shown until ``expires_at``, or until it is dismissed."""

    id: UUID
    text: str
    created_at: datetime
    expires_at: datetime


class Announcement(msgspec.Struct, frozen=True):
    """An announcement as those see it who may write some.

    ``reached`` counts the members whom it has come to, of about ``audience``; ``author`` is the member who
    wrote it, or else it was the ``operator``. ``advanced_at`` is when it went on.
    """

    id: UUID
    text: str
    university: str | None
    department: str | None
    state: State
    created_at: datetime
    expires_at: datetime
    audience: int
    reached: int
    advanced_at: datetime
    author: str | None
    operator: str | None
