"""Public timelines: the same for all members, minus what the viewer may not read."""

from __future__ import annotations

from uuid import UUID

from chitlaq.core.http.paging import Page, Paging
from chitlaq.core.text import tokens
from chitlaq.services.feed.schemas import Post
from chitlaq.services.feed.state import FeedState


async def explore(state: FeedState, viewer: UUID | None, paging: Paging) -> Page[Post]:
    """Return a page of all public posts, newest first."""
    rows = await state.database.rows("public_posts", viewer, *paging.window)
    return await state.rendering.page(viewer, rows, paging)


async def tagged(state: FeedState, viewer: UUID | None, tag: str, paging: Paging) -> Page[Post]:
    """Return a page of the public posts with a hashtag, newest first."""
    rows = await state.database.rows("tagged_posts", viewer, tokens.folded(tag), *paging.window)
    return await state.rendering.page(viewer, rows, paging)
