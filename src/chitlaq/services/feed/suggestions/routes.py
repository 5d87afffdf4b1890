"""Suggestions over HTTP."""

from __future__ import annotations

from litestar import get

from chitlaq.core.http.identity import Identity
from chitlaq.core.http.paging import Page, PageLimit, PageNumber, Paging
from chitlaq.services.feed.state import FeedState
from chitlaq.services.feed.suggestions import suggestions
from chitlaq.services.feed.suggestions.schemas import Suggestion


@get("/users/me/suggestions", summary="Whom you may want to follow, and why")
async def suggested(
    member: Identity, state: FeedState, page: PageNumber = 1, limit: PageLimit = 20
) -> Page[Suggestion]:
    Paging.of(page, limit)
    return await suggestions.suggested(state.database, member.account_id, page, limit)
