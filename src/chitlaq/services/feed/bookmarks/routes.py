"""Bookmarks over HTTP."""

from __future__ import annotations

from uuid import UUID

from litestar import delete, get, put

from chitlaq.core.http.identity import Identity
from chitlaq.core.http.paging import Page, Paging
from chitlaq.services.feed.bookmarks import bookmarks
from chitlaq.services.feed.schemas import Post
from chitlaq.services.feed.state import FeedState


@put("/posts/{post_id:uuid}/bookmark", status_code=204, summary="Bookmark a post")
async def add_bookmark(post_id: UUID, member: Identity, state: FeedState) -> None:
    await bookmarks.add(state.database, member.account_id, post_id)


@delete("/posts/{post_id:uuid}/bookmark", summary="Remove a bookmark")
async def remove_bookmark(post_id: UUID, member: Identity, state: FeedState) -> None:
    await bookmarks.remove(state.database, member.account_id, post_id)


@get("/users/me/bookmarks", summary="Your bookmarks, the latest first")
async def own_bookmarks(member: Identity, state: FeedState, paging: Paging) -> Page[Post]:
    return await bookmarks.listed(state, member.account_id, paging)
