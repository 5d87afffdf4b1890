"""Who liked and reposted a post, its quotes, and what the quoted author can do about them."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from chitlaq.core.data.postgres import Database
from chitlaq.core.http import problems
from chitlaq.core.http.paging import Page, Paging
from chitlaq.core.telemetry import logs
from chitlaq.services.feed.schemas import MemberCard, Post
from chitlaq.services.feed.state import FeedState


async def members(
    database: Database,
    query: Literal["likers", "reposters"],
    viewer: UUID | None,
    post_id: UUID,
    paging: Paging,
) -> Page[MemberCard]:
    """Return a page of the members who liked or reposted a post, of those whom the viewer may see.

    Raises:
        Problem: 404 if there is no such post, or the viewer may not read it; 401 for a page beyond what is
            shown to those who are not signed in.
    """
    paging = paging.of_members(viewer)
    await _require_readable(database, viewer, post_id)
    rows = await database.rows(query, viewer, post_id, *paging.window)
    return paging.page_of(rows, MemberCard.of)


async def quotes(
    state: FeedState, viewer: UUID | None, post_id: UUID, paging: Paging
) -> Page[Post]:
    """Return a page of the posts that quote one, newest first.

    Raises:
        Problem: 404 if there is no such post, or the viewer may not read it.
    """
    await _require_readable(state.database, viewer, post_id)
    rows = await state.database.rows("quotes", viewer, post_id, *paging.window)
    return await state.rendering.page(viewer, rows, paging)


async def detach(database: Database, author: UUID, post_id: UUID, quote_id: UUID) -> None:
    """Take the author's post out of another that quotes it, for good; repeating it changes nothing.

    Raises:
        Problem: 404 if the author has no such post.
    """
    async with database.session() as session:
        if not await session.value("detach_quote", post_id, author, quote_id, logs.request_id()):
            raise problems.not_found("post of yours")


async def _require_readable(database: Database, viewer: UUID | None, post_id: UUID) -> None:
    if not await database.row("readable", viewer, [post_id]):
        raise problems.not_found("post")
