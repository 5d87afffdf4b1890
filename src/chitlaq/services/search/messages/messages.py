"""Messages, as search finds them."""

from __future__ import annotations

from collections.abc import Sequence

from asyncpg import Record

from chitlaq.services.search.messages import FoundMessage
from chitlaq.services.search.texts import FoundAuthor, MatchingPart, SnippetPart, language
from chitlaq.services.search.texts.finding import Kind


def _made(
    row: Record, snippet: Sequence[SnippetPart], parts: Sequence[MatchingPart]
) -> FoundMessage:
    return FoundMessage(
        row["conversation_id"],
        row["seq"],
        row["id"],
        row["kind"],
        row["group_name"],
        _person(row, "other_"),
        _person(row, ""),
        snippet,
        parts,
        row["has_media"],
        row["sent_at"],
        row["edited_at"],
    )


def _person(row: Record, which: str) -> FoundAuthor | None:
    username, name, avatar = (
        row[which + column] for column in ("username", "display_name", "avatar_url")
    )
    return FoundAuthor(username, name, avatar) if username is not None else None


MESSAGES = Kind("messages", language.OPERATORS - {"to"}, ("conversation_id", "seq"), _made)
