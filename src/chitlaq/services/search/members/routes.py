"""Members by name over HTTP."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import Parameter

from chitlaq.core.http.identity import Identity, account_id
from chitlaq.core.http.paging import Page, PageLimit, PageNumber, Paging
from chitlaq.core.http.schemas import without_nul
from chitlaq.services.search.members import FoundMember, members
from chitlaq.services.search.state import SearchState

SearchText = Annotated[
    str, Parameter(min_length=1, max_length=100, description="A name, or a part of one.")
]


@get(
    "/search/users",
    is_expensive=True,
    summary="Members by name; for those not signed in, the first public profiles by three letters or more",
    refuses=(401,),
)
async def users(
    q: SearchText,
    viewer: Identity | None,
    state: SearchState,
    page: PageNumber = 1,
    limit: PageLimit = 20,
) -> Page[FoundMember]:
    who = account_id(viewer)
    found = await members.find(state.database, who, without_nul("q", q), Paging.of(page, limit))
    if page == 1:
        state.history.remember(who, q)
    return found
