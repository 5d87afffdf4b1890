"""Posts, replies and likes over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from litestar import delete, get, patch, post, put

from chitlaq.core.http.idempotency import IdempotencyKey, required_valid
from chitlaq.core.http.identity import Identity, account_id
from chitlaq.core.http.paging import Page, Paging
from chitlaq.services.feed.posts import posts
from chitlaq.services.feed.posts.schemas import Edit, NewPost, PostChange
from chitlaq.services.feed.schemas import Post
from chitlaq.services.feed.state import FeedState


@post("/posts", summary="Write a post or a reply", refuses=(409,))
async def write_post(
    data: NewPost, member: Identity, state: FeedState, idempotency_key: IdempotencyKey = None
) -> Post:
    return await posts.write(state, member.account_id, data, required_valid(idempotency_key))


@get("/posts/{post_id:uuid}", summary="One post")
async def read_post(post_id: UUID, viewer: Identity | None, state: FeedState) -> Post:
    return await posts.read(state, account_id(viewer), post_id)


@patch("/posts/{post_id:uuid}", summary="Edit your own post")
async def change_post(post_id: UUID, data: PostChange, member: Identity, state: FeedState) -> Post:
    return await posts.change(state, member.account_id, post_id, data)


@delete("/posts/{post_id:uuid}", summary="Delete your own post")
async def delete_post(post_id: UUID, member: Identity, state: FeedState) -> None:
    await posts.delete(state.database, member.account_id, post_id)


@get("/posts/{post_id:uuid}/replies", summary="Replies to a post, oldest first")
async def replies(
    post_id: UUID, viewer: Identity | None, state: FeedState, paging: Paging
) -> Page[Post]:
    return await posts.replies(state, account_id(viewer), post_id, paging)


@get("/posts/{post_id:uuid}/history", summary="What a post said before, the latest first")
async def history(post_id: UUID, viewer: Identity | None, state: FeedState) -> Sequence[Edit]:
    return await posts.history(state.database, account_id(viewer), post_id)


@put("/posts/{post_id:uuid}/like", status_code=204, summary="Like a post")
async def like(post_id: UUID, member: Identity, state: FeedState) -> None:
    await posts.like(state.database, member.account_id, post_id)


@delete("/posts/{post_id:uuid}/like", summary="Unlike a post")
async def unlike(post_id: UUID, member: Identity, state: FeedState) -> None:
    await posts.unlike(state.database, member.account_id, post_id)


@put("/posts/{post_id:uuid}/repost", status_code=204, summary="Repost a post", refuses=(403,))
async def repost(post_id: UUID, member: Identity, state: FeedState) -> None:
    await posts.repost(state, member.account_id, post_id)


@delete("/posts/{post_id:uuid}/repost", summary="Take a repost back")
async def unrepost(post_id: UUID, member: Identity, state: FeedState) -> None:
    await posts.unrepost(state.database, member.account_id, post_id)
