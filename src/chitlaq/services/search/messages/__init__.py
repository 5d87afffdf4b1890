"""Messages of one's own conversations by what they say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from chitlaq.services.search.texts import FoundAuthor, MatchingPart, SnippetPart


# Defined here because the API description names a page of these after this module.
class FoundMessage(msgspec.Struct, frozen=True):
    """A message that was found; ``GET /conversations/{id}/messages?around={seq}`` shows it among the others.

    ``name`` is the group's, unless the reader left it; ``other`` is who takes part in a direct conversation.
    ``sender`` is null when that account is gone.
    """

    conversation_id: UUID
    seq: int
    id: UUID
    kind: Literal["direct", "group"]
    name: str | None
    other: FoundAuthor | None
    sender: FoundAuthor | None
    snippet: Sequence[SnippetPart]
    matching_parts: Sequence[MatchingPart]
    has_media: bool
    sent_at: datetime
    edited_at: datetime | None
