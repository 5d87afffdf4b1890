"""The timeline of those who are not signed in."""

from __future__ import annotations

from chitlaq.core.http.paging import Page, Paging
from chitlaq.services.feed.schemas import Post
from chitlaq.services.feed.state import FeedState


async def latest(state: FeedState, paging: Paging) -> Page[Post]:
    """Return a page of all public posts, newest first, for somebody not signed in."""
    rows = await state.database.rows("public_posts", None, *paging.window)
    return await state.rendering.page(None, rows, paging)
