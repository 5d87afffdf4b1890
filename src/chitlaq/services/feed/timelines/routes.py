"""The home feed over HTTP."""

from __future__ import annotations

from litestar import get

from chitlaq.core.http.identity import Identity
from chitlaq.core.http.paging import Page, Paging
from chitlaq.services.feed.schemas import Post
from chitlaq.services.feed.state import FeedState
from chitlaq.services.feed.timelines import timelines


@get("/feed/home", summary="The home feed; the latest public posts for those not signed in")
async def home(viewer: Identity | None, state: FeedState, paging: Paging) -> Page[Post]:
    if viewer is None:
        return await timelines.latest(state, paging)
    return await state.home.page(viewer.account_id, paging)
