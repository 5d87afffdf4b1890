"""What searching in posts and in messages has in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec


# Defined here because the API description names a page of these after this module.
class SnippetPart(msgspec.Struct, frozen=True):
    """A part of a text as it was written; parts that match what is searched for are to be emphasized."""

    text: str
    is_match: bool


class MatchingPart(msgspec.Struct, frozen=True):
    """What matches beside the text: the description of a picture, or an option of a poll."""

    kind: Literal["picture", "poll_option"]
    snippet: Sequence[SnippetPart]


class FoundAuthor(msgspec.Struct, frozen=True):
    username: str
    display_name: str
    avatar_url: str | None
