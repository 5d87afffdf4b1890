"""HTTP in and out of search-service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from litestar import get
from litestar.datastructures import State
from litestar.params import Parameter

from chitlaq import inventory
from chitlaq.core.http.identity import Identity
from chitlaq.core.http.paging import Cursor, Page, PageLimit, PageNumber, Paging
from chitlaq.core.http.schemas import without_nul
from chitlaq.core.http.service import Context, Service
from chitlaq.services.search.members.members import FoundMember, MemberSearch

SearchText = Annotated[
    str, Parameter(min_length=1, max_length=100, description="A name, or a part of one.")
]


@get("/search/users", summary="Members by name; public profiles for those not signed in")
async def users(
    q: SearchText,
    viewer: Identity | None,
    state: State,
    page: PageNumber = 1,
    limit: PageLimit = 20,
    cursor: Cursor = None,
) -> Page[FoundMember]:
    search: MemberSearch = state.members
    account_id = viewer.account_id if viewer else None
    return await search.find(account_id, without_nul("q", q), Paging.of(page, limit, cursor))


@asynccontextmanager
async def run(context: Context) -> AsyncIterator[dict[str, Any]]:
    yield {"members": MemberSearch(context.database)}


SERVICE = Service(
    inventory.COMPONENTS["search-service"],
    handlers=[users],
    run=run,
)
