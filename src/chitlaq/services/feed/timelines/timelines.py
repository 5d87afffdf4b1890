"""The timeline of those who are not signed in."""

from __future__ import annotations

from uuid import UUID

from chitlaq.core.http.paging import Page, Paging
from chitlaq.services.feed.schemas import Post
from chitlaq.services.feed.state import FeedState


async def latest(state: FeedState, paging: Paging, after: UUID | None = None) -> Page[Post]:
    """Return public posts, newest first, for who is not signed in; only what is newer than ``after``."""
    rows = await state.database.rows("public_posts", None, *paging.window, after)
    return await state.rendering.page(None, rows, paging)
