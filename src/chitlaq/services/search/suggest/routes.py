"""Suggestions over HTTP."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import Parameter

from chitlaq.core.http.identity import Identity, account_id
from chitlaq.core.http.schemas import without_nul
from chitlaq.services.search.state import SearchState
from chitlaq.services.search.suggest import Suggestions, suggest

Typed = Annotated[
    str, Parameter(min_length=1, max_length=100, description="What was typed until now.")
]
FewMembers = Annotated[int, Parameter(ge=1, le=20, description="Members, at most.")]


@get(
    "/search/suggest",
    is_expensive=True,
    summary="Members, tags, groups and recent searches, while one types",
)
async def suggestions(
    q: Typed, viewer: Identity | None, state: SearchState, limit: FewMembers = 5
) -> Suggestions:
    who, text = account_id(viewer), without_nul("q", q)
    return await state.standbys.read(
        who,
        lambda database: suggest.suggest(database, state.database, state.common, who, text, limit),
    )
