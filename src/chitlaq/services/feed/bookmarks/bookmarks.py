"""Bookmarks are private: nobody is told of them, and no counter shows them."""

from __future__ import annotations

from uuid import UUID

from chitlaq.core.data.postgres import Database
from chitlaq.core.http import problems
from chitlaq.core.http.paging import Page, Paging
from chitlaq.services.feed.schemas import Post
from chitlaq.services.feed.state import FeedState


async def add(database: Database, member: UUID, post_id: UUID) -> None:
    """Keep a post that the member may read; repeating it changes nothing.

    Raises:
        Problem: 404 if there is no such post, or the member may not read it.
    """
    async with database.session() as session:
        if not await session.value("bookmark", post_id, member):
            raise problems.not_found("post")


async def remove(database: Database, member: UUID, post_id: UUID) -> None:
    """Keep a post no more, also one that the member may not read any more."""
    async with database.session() as session:
        await session.execute("remove_bookmark", post_id, member)


async def listed(state: FeedState, member: UUID, paging: Paging) -> Page[Post]:
    """Return a page of what a member keeps and may read, the latest bookmark first."""
    rows = await state.database.rows("bookmarked_posts", member, *paging.window)
    return await state.rendering.page(member, rows, paging)
