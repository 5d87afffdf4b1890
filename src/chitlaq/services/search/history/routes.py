"""The search history over HTTP."""

from __future__ import annotations

from uuid import UUID

from litestar import delete, get, put

from chitlaq.core.http.identity import Identity
from chitlaq.core.http.paging import Page, Paging
from chitlaq.services.search.history.schemas import HistorySettings, PastSearch
from chitlaq.services.search.state import SearchState


@get("/search/history", summary="What you searched for, the latest first")
async def listed(member: Identity, state: SearchState, paging: Paging) -> Page[PastSearch]:
    return await state.history.listed(member.account_id, paging)


@delete("/search/history", summary="Forget what you searched for")
async def forget_all(member: Identity, state: SearchState) -> None:
    await state.history.forget_all(member.account_id)


@delete("/search/history/{search_id:uuid}", summary="Forget one search", refuses=(404,))
async def forget(search_id: UUID, member: Identity, state: SearchState) -> None:
    await state.history.forget(member.account_id, search_id)


@get("/search/history/settings", summary="Whether what you search for is kept for you")
async def settings(member: Identity, state: SearchState) -> HistorySettings:
    return await state.history.settings(member.account_id)


@put(
    "/search/history/settings",
    status_code=204,
    summary="Switch the search history on or off; what is kept stays until it is deleted",
)
async def change_settings(data: HistorySettings, member: Identity, state: SearchState) -> None:
    await state.history.change_settings(member.account_id, data)
