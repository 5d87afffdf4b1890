"""Posts: write, read, change, delete, like."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from chitlaq.core.data.postgres import Database
from chitlaq.core.http import problems
from chitlaq.core.http.paging import Page, Paging
from chitlaq.core.telemetry import logs
from chitlaq.core.text import tokens
from chitlaq.services.feed import metrics
from chitlaq.services.feed.posts.schemas import NewPost, PostChange
from chitlaq.services.feed.schemas import Post
from chitlaq.services.feed.state import FeedState


def tags_of(text: str) -> list[str]:
    """Return a text's hashtags as they are matched, in order, without duplicates."""
    return [tag.folded for tag in tokens.parsed(text).tags]


async def write(state: FeedState, author: UUID, new: NewPost, idempotency_key: str | None) -> Post:
    """Store a post and deliver it to the author's followers.

    If the author has used the idempotency key before, return that post.

    Raises:
        Problem: 422 for a reply to a post that the author cannot read, 409 for a key that was used
            with another text.
    """
    if new.reply_to is not None and not await state.database.row("post", author, new.reply_to):
        raise problems.invalid({"reply_to": "there is no such post, or you may not see it"})
    try:
        async with state.database.session() as session:
            row = await session.row(
                "insert_post",
                author,
                new.text,
                new.visibility,
                new.reply_to,
                idempotency_key,
                tags_of(new.text),
                logs.request_id(),
            )
    except asyncpg.ForeignKeyViolationError:
        raise problems.not_signed_in("This account no longer exists.") from None
    if row is None:
        return await _written_before(state.database, author, new, idempotency_key)
    metrics.POSTS_CREATED.inc()
    await state.deliveries.begin(row["job_id"], row["id"])
    return await read(state.database, author, row["id"])


async def read(database: Database, viewer: UUID | None, post_id: UUID) -> Post:
    """Return one post.

    Raises:
        Problem: 404 if there is no such post, or the viewer may not read it.
    """
    row = await database.row("post", viewer, post_id)
    if row is None:
        raise problems.not_found("post")
    return Post.of(row)


async def change(database: Database, author: UUID, post_id: UUID, new: PostChange) -> Post:
    """Change the author's own post.

    Raises:
        Problem: 404 if the author has no such post.
    """
    async with database.transaction() as session:
        changed = await session.execute("update_post", post_id, author, new.text, new.visibility)
        if not changed:
            raise problems.not_found("post of yours")
        if new.text is not None:
            await session.execute("replace_tags", post_id, tags_of(new.text))
    return await read(database, author, post_id)


async def delete(database: Database, author: UUID, post_id: UUID) -> None:
    """Delete the author's own post.

    Raises:
        Problem: 404 if the author has no such post.
    """
    async with database.session() as session:
        if not await session.execute("delete_post", post_id, author):
            raise problems.not_found("post of yours")


async def like(database: Database, member: UUID, post_id: UUID, *, liked: bool) -> None:
    """Like or unlike a post that the member may read; repeating it changes nothing."""
    await read(database, member, post_id)
    async with database.session() as session:
        await session.execute("like" if liked else "unlike", post_id, member)


async def replies(
    database: Database, viewer: UUID | None, post_id: UUID, paging: Paging
) -> Page[Post]:
    """Return a page of the replies to a post that the viewer may read, oldest first."""
    await read(database, viewer, post_id)
    rows = await database.rows("replies", viewer, post_id, *paging.window)
    return paging.page_of(rows, Post.of)


async def of_member(
    database: Database, viewer: UUID | None, member: UUID, paging: Paging
) -> Page[Post]:
    """Return a page of a member's posts that the viewer may read, newest first."""
    rows = await database.rows("posts_of_member", viewer, member, *paging.window)
    return paging.page_of(rows, Post.of)


async def _written_before(database: Database, author: UUID, new: NewPost, key: str | None) -> Post:
    row = await database.row("post_by_idempotency_key", author, key)
    if row is None or (row["text"], row["visibility"], row["reply_to"]) != (
        new.text,
        new.visibility,
        new.reply_to,
    ):
        raise problems.conflict(
            "This Idempotency-Key was used for another post; use a new one.", "Idempotency-Key"
        )
    return await read(database, author, row["id"])
