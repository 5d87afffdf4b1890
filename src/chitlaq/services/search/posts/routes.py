"""Posts by what they say over HTTP."""

from __future__ import annotations

from litestar import get

from chitlaq.core.http.identity import Identity, account_id
from chitlaq.core.http.paging import Cursor, PageLimit, PageNumber, Paging
from chitlaq.core.http.schemas import without_nul
from chitlaq.services.search.pages import FoundPage
from chitlaq.services.search.posts import FoundPost
from chitlaq.services.search.posts.posts import POSTS
from chitlaq.services.search.state import SearchState
from chitlaq.services.search.texts import finding
from chitlaq.services.search.texts.cursors import Place
from chitlaq.services.search.texts.parameters import QueryText, SortOrder


@get("/search/posts", is_expensive=True, summary="Posts by what they say")
async def find_posts(
    q: QueryText,
    viewer: Identity | None,
    state: SearchState,
    sort: SortOrder = "relevance",
    page: PageNumber = 1,
    limit: PageLimit = 20,
    cursor: Cursor = None,
) -> FoundPage[FoundPost]:
    who, text = account_id(viewer), without_nul("q", q)
    place = Place.of(cursor) if cursor else None
    paging = Paging.of(page, limit)
    found = await state.standbys.read(
        who,
        lambda database: finding.search(POSTS, database, state.lexicon, who, text, sort).page(
            paging, place
        ),
    )
    if page == 1 and place is None:
        state.history.remember(who, q)
    return found
