"""Explore, hashtags and trending over HTTP."""

from __future__ import annotations

from litestar import get

from chitlaq.core.http.identity import Identity, account_id
from chitlaq.core.http.paging import Cursor, Page, PageLimit, Paging
from chitlaq.services.feed.discovery import discovery
from chitlaq.services.feed.discovery.schemas import TrendingTags
from chitlaq.services.feed.schemas import Post
from chitlaq.services.feed.state import FeedState


@get("/feed/explore", summary="What many care for these days, then the latest public posts")
async def explore(
    viewer: Identity | None, state: FeedState, limit: PageLimit = 20, cursor: Cursor = None
) -> Page[Post]:
    return await discovery.explore(
        state.database, state.rendering, account_id(viewer), limit, cursor
    )


@get("/feed/tags/{tag:str}", summary="The latest public posts with a hashtag")
async def tagged(tag: str, viewer: Identity | None, state: FeedState, paging: Paging) -> Page[Post]:
    return await discovery.tagged(state.database, state.rendering, account_id(viewer), tag, paging)


@get(
    "/feed/trending", summary="Hashtags that rise at your university; everywhere, if not signed in"
)
async def trending(viewer: Identity | None, state: FeedState) -> TrendingTags:
    return await discovery.trending(state.database, account_id(viewer))
