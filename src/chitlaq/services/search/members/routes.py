"""Members by name over HTTP."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get
from litestar.params import Parameter

from chitlaq.core.http.identity import Identity, account_id
from chitlaq.core.http.paging import Paging
from chitlaq.core.http.schemas import without_nul
from chitlaq.services.search.members import MAX_LETTERS, FoundMember, members
from chitlaq.services.search.pages import FoundPage
from chitlaq.services.search.state import SearchState

SearchText = Annotated[
    str, Parameter(min_length=1, max_length=MAX_LETTERS, description="A name, or a part of one.")
]


@get(
    "/search/users",
    is_expensive=True,
    summary="Members by name; for those not signed in, the first public profiles by three letters or more",
    refuses=(401,),
)
async def users(
    q: SearchText, viewer: Identity | None, state: SearchState, paging: Paging
) -> FoundPage[FoundMember]:
    return await found_by(state, account_id(viewer), without_nul("q", q), paging)


async def found_by(
    state: SearchState, viewer: UUID | None, text: str, paging: Paging
) -> FoundPage[FoundMember]:
    """Search, and keep the text for whom it was that searched."""
    found = await state.standbys.read(
        viewer, lambda database: members.find(database, state.common, viewer, text, paging)
    )
    if not paging.offset and paging.before is None:
        state.history.remember(viewer, text)
    return found


async def users_json(state: SearchState, member: UUID, paging: Paging, text: str) -> bytes:
    """Return the response for a member, as `core.http.hot_pages` asks for it."""
    return msgspec.json.encode(await found_by(state, member, text, paging))
