"""Posts by what they say over HTTP."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import Parameter

from chitlaq.core.http.identity import Identity, account_id
from chitlaq.core.http.paging import Cursor, PageLimit, PageNumber, Paging
from chitlaq.core.http.schemas import without_nul
from chitlaq.services.search.posts import FoundPost, posts
from chitlaq.services.search.state import SearchState
from chitlaq.services.search.texts import FoundTextPage
from chitlaq.services.search.texts.cursors import Place

QueryText = Annotated[
    str,
    Parameter(
        min_length=1,
        max_length=500,
        description='Words, "phrases", OR, -without, and from: to: tag: has: before: after:.',
    ),
]
SortOrder = Annotated[
    posts.Sort, Parameter(description="The most relevant of the latest first, or just the latest.")
]


@get("/search/posts", is_expensive=True, summary="Posts by what they say")
async def find_posts(
    q: QueryText,
    viewer: Identity | None,
    state: SearchState,
    sort: SortOrder = "relevance",
    page: PageNumber = 1,
    limit: PageLimit = 20,
    cursor: Cursor = None,
) -> FoundTextPage[FoundPost]:
    who = account_id(viewer)
    place = Place.of(cursor) if cursor else None
    text = without_nul("q", q)
    found = await posts.find(
        state.database, state.lexicon, who, text, sort, Paging.of(page, limit), place
    )
    if page == 1 and place is None:
        state.history.remember(who, q)
    return found
