"""Posts by what they say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from chitlaq.services.search.texts import FoundAuthor, MatchingPart, SnippetPart


# Defined here because the API description names a page of these after this module.
class FoundPost(msgspec.Struct, frozen=True):
    """A post that was found: ``snippet`` is its text, or of a long one the part that matches."""

    id: UUID
    author: FoundAuthor
    snippet: Sequence[SnippetPart]
    matching_parts: Sequence[MatchingPart]
    content_warning: str | None
    visibility: Literal["public", "university", "followers", "mentioned", "self"]
    reply_to: UUID | None
    has_media: bool
    has_poll: bool
    likes: int
    replies: int
    reposts: int
    created_at: datetime
    edited_at: datetime | None
