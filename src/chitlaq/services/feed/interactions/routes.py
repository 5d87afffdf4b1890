"""Likes, reposts and quotes of a post over HTTP."""

from __future__ import annotations

from uuid import UUID

from litestar import delete, get

from chitlaq.core.http.identity import Identity, account_id
from chitlaq.core.http.paging import Page, Paging
from chitlaq.services.feed.interactions import interactions
from chitlaq.services.feed.schemas import MemberCard, Post
from chitlaq.services.feed.state import FeedState


@get("/posts/{post_id:uuid}/likes", summary="Members who like a post", refuses=(401,))
async def likers(
    post_id: UUID, viewer: Identity | None, state: FeedState, paging: Paging
) -> Page[MemberCard]:
    return await interactions.members(state.database, "likers", account_id(viewer), post_id, paging)


@get("/posts/{post_id:uuid}/reposts", summary="Members who reposted a post", refuses=(401,))
async def reposters(
    post_id: UUID, viewer: Identity | None, state: FeedState, paging: Paging
) -> Page[MemberCard]:
    return await interactions.members(
        state.database, "reposters", account_id(viewer), post_id, paging
    )


@get("/posts/{post_id:uuid}/quotes", summary="Posts that quote one, newest first")
async def quotes(
    post_id: UUID, viewer: Identity | None, state: FeedState, paging: Paging
) -> Page[Post]:
    return await interactions.quotes(state, account_id(viewer), post_id, paging)


@delete(
    "/posts/{post_id:uuid}/quotes/{quote_id:uuid}", summary="Detach your post from a quote of it"
)
async def detach_quote(post_id: UUID, quote_id: UUID, member: Identity, state: FeedState) -> None:
    await interactions.detach(state.database, member.account_id, post_id, quote_id)
