"""Mutes, in and out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Self

import msgspec

from chitlaq.core.http.schemas import Incoming, require_moment, require_one_line
from chitlaq.services.feed.schemas import MemberCard

MAX_MUTED = 200


class Mute(Incoming, frozen=True):
    """Until when; null, or no body, is for good."""

    until: datetime | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.until is not None:
            require_moment("until", self.until)
            if self.until <= datetime.now(UTC):
                raise ValueError("until: must be in the future")


class ThreadMute(msgspec.Struct, frozen=True):
    """Whether one hears nothing more of a thread."""

    is_muted: bool


class MutedMember(MemberCard, frozen=True):
    """A member whom one mutes; `muted_until` null is for good."""

    muted_until: datetime | None

    @classmethod
    def of(cls, row: Any) -> Self:
        """Make one from a row that begins with the member's id."""
        _id, *columns = row
        return cls(*columns)


class MutedWord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A word or several in any script, found as whole words in any case; `until` null is for good."""

    word: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    until: datetime | None = None


class MutedWords(Incoming, frozen=True):
    """All that a member mutes. One that is over is left out."""

    words: Annotated[list[MutedWord], msgspec.Meta(max_length=MAX_MUTED)]

    def __post_init__(self) -> None:
        super().__post_init__()
        for number, one in enumerate(self.words):
            require_one_line(f"words[{number}].word", one.word)
            if one.until is not None:
                require_moment(f"words[{number}].until", one.until)


class MutedTag(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A hashtag, with or without its sign; `until` null is for good."""

    tag: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    until: datetime | None = None


class MutedTags(Incoming, frozen=True):
    """All that a member mutes. One that is over is left out."""

    tags: Annotated[list[MutedTag], msgspec.Meta(max_length=MAX_MUTED)]

    def __post_init__(self) -> None:
        super().__post_init__()
        for number, one in enumerate(self.tags):
            require_one_line(f"tags[{number}].tag", one.tag)
            if one.until is not None:
                require_moment(f"tags[{number}].until", one.until)
