"""Tags by their beginning over HTTP."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import Parameter

from chitlaq.core.http.identity import Identity, account_id
from chitlaq.core.http.paging import Cursor, Page, PageLimit, PageNumber, Paging
from chitlaq.core.http.schemas import without_nul
from chitlaq.services.search.state import SearchState
from chitlaq.services.search.tags import FoundTag, tags

TagText = Annotated[
    str, Parameter(min_length=1, max_length=101, description="The beginning of a tag.")
]


@get("/search/tags", is_expensive=True, summary="Tags by their beginning, with their posts counted")
async def find_tags(
    q: TagText,
    viewer: Identity | None,
    state: SearchState,
    page: PageNumber = 1,
    limit: PageLimit = 20,
    cursor: Cursor = None,
) -> Page[FoundTag]:
    who, text, paging = account_id(viewer), without_nul("q", q), Paging.of(page, limit)
    last = tags.Last.of(cursor) if cursor else None
    return await state.standbys.read(
        who, lambda database: tags.find(database, who, text, paging, last)
    )
