"""Suggestions: friends of friends, members of the same groups, and of the same department."""

from __future__ import annotations

from uuid import UUID

from chitlaq.core.data.postgres import Database
from chitlaq.core.http.paging import Page
from chitlaq.services.feed.suggestions.schemas import Suggestion


async def suggested(database: Database, member: UUID, page: int, limit: int) -> Page[Suggestion]:
    """Return whom a member may want to follow, the best reason first.

    The list is ranked anew each time, so it has pages but no cursor.
    """
    rows = await database.rows("suggestions", member, (page - 1) * limit, limit)
    return Page([Suggestion.of(row) for row in rows], page, limit, None)
