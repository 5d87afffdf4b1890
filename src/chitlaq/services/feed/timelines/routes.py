"""The home feed, explore and hashtags over HTTP."""

from __future__ import annotations

from litestar import get

from chitlaq.core.http import problems
from chitlaq.core.http.identity import Identity, account_id
from chitlaq.core.http.paging import Page, Paging
from chitlaq.services.feed.schemas import Post
from chitlaq.services.feed.state import FeedState
from chitlaq.services.feed.timelines import timelines


@get("/feed/home", summary="The home feed; the latest public posts for those not signed in")
async def home(viewer: Identity | None, state: FeedState, paging: Paging) -> Page[Post]:
    if viewer is None:
        return await timelines.explore(state, None, paging)
    return await state.home.page(viewer.account_id, paging)


@get("/feed/explore", summary="The latest public posts")
async def explore(viewer: Identity | None, state: FeedState, paging: Paging) -> Page[Post]:
    return await timelines.explore(state, account_id(viewer), paging)


@get("/feed/tags/{tag:str}", summary="The latest public posts with a hashtag")
async def tagged(tag: str, viewer: Identity | None, state: FeedState, paging: Paging) -> Page[Post]:
    if "\x00" in tag:
        raise problems.not_found("tag")
    return await timelines.tagged(state, account_id(viewer), tag, paging)
