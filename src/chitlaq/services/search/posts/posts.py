"""Posts, as search finds them."""

from __future__ import annotations

from collections.abc import Sequence

from asyncpg import Record

from chitlaq.services.search.posts import FoundPost
from chitlaq.services.search.texts import FoundAuthor, MatchingPart, SnippetPart, language
from chitlaq.services.search.texts.finding import Kind


def _made(row: Record, snippet: Sequence[SnippetPart], parts: Sequence[MatchingPart]) -> FoundPost:
    return FoundPost(
        row["id"],
        FoundAuthor(row["username"], row["display_name"], row["avatar_url"]),
        snippet,
        parts,
        row["content_warning"],
        row["visibility"],
        row["reply_to"],
        row["has_media"],
        row["has_poll"],
        row["likes"],
        row["replies"],
        row["reposts"],
        row["created_at"],
        row["edited_at"],
    )


POSTS = Kind("posts", language.OPERATORS - {"in"}, ("id",), _made)
