"""Public timelines: the same for all members, minus what the viewer may not read."""

from __future__ import annotations

from uuid import UUID

from chitlaq.core.data.postgres import Database
from chitlaq.core.http.paging import Page, Paging
from chitlaq.core.text import tokens
from chitlaq.services.feed.schemas import Post


async def explore(database: Database, viewer: UUID | None, paging: Paging) -> Page[Post]:
    """Return a page of all public posts, newest first."""
    rows = await database.rows("public_posts", viewer, *paging.window)
    return paging.page_of(rows, Post.of)


async def tagged(database: Database, viewer: UUID | None, tag: str, paging: Paging) -> Page[Post]:
    """Return a page of the public posts with a hashtag, newest first."""
    rows = await database.rows("tagged_posts", viewer, tokens.folded(tag), *paging.window)
    return paging.page_of(rows, Post.of)
