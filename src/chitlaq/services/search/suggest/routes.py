"""Suggestions over HTTP."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get
from litestar.params import Parameter

from chitlaq.core.http.identity import Identity, account_id
from chitlaq.core.http.paging import Paging
from chitlaq.core.http.schemas import without_nul
from chitlaq.core.http.service import HotPage
from chitlaq.services.search.members import MAX_LETTERS
from chitlaq.services.search.state import SearchState
from chitlaq.services.search.suggest import Suggestions, suggest

MEMBERS = 5
MAX_MEMBERS = 20

Typed = Annotated[
    str,
    Parameter(min_length=1, max_length=MAX_LETTERS, description="What was typed until now."),
]
FewMembers = Annotated[int, Parameter(ge=1, le=MAX_MEMBERS, description="Members, at most.")]


@get(
    "/search/suggest",
    is_expensive=True,
    summary="Members, tags, groups and recent searches, while one types",
)
async def suggestions(
    q: Typed, viewer: Identity | None, state: SearchState, limit: FewMembers = MEMBERS
) -> Suggestions:
    return await suggested_by(state, account_id(viewer), without_nul("q", q), limit)


async def suggested_by(
    state: SearchState, viewer: UUID | None, text: str, limit: int
) -> Suggestions:
    return await state.standbys.read(
        viewer,
        lambda database: suggest.suggest(
            database, state.database, state.common, viewer, text, limit
        ),
    )


async def _suggestions_json(state: SearchState, member: UUID, paging: Paging, text: str) -> bytes:
    return msgspec.json.encode(await suggested_by(state, member, text, paging.limit))


HOT_SUGGESTIONS = HotPage(
    _suggestions_json,
    text="q",
    max_letters=MAX_LETTERS,
    limit=MEMBERS,
    max_limit=MAX_MEMBERS,
    has_more=False,
)
