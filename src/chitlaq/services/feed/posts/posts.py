"""Posts: write, read, change, delete, like, repost."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple, TypeVar
from uuid import UUID

import asyncpg
import msgspec

from chitlaq.core.data.jobs import enqueue
from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.http import problems
from chitlaq.core.http.paging import Page, Paging
from chitlaq.core.http.pictures import NOT_ATTACHABLE
from chitlaq.core.telemetry import logs
from chitlaq.core.text import tokens
from chitlaq.services.feed import metrics
from chitlaq.services.feed.posts.schemas import Edit, NewPost, PostChange
from chitlaq.services.feed.rendering import COLUMNS, Row
from chitlaq.services.feed.schemas import Post, PostContent
from chitlaq.services.feed.state import FeedState
from chitlaq.services.feed.timelines.deliveries import DELIVER_POST, Delivered, DeliverPost

T = TypeVar("T")

# What is in no follower's timeline.
UNDELIVERED = ("self", "mentioned")
MAX_EDITS = 100
"""How far back a post's history is shown."""


class Written(NamedTuple):
    """A post that was just stored; ``content`` lacks its pictures, if it has any."""

    row: Row
    content: PostContent
    has_pictures: bool
    job_id: UUID | None
    """Of its delivery, if it is delivered."""
    is_synthetic: bool
    """Whether it is a probe, and none of members' posts."""


async def write(state: FeedState, author: UUID, new: NewPost, idempotency_key: str | None) -> Post:
    """Store a post and deliver it to the author's followers.

    If the author has used the idempotency key before, return that post.

    Raises:
        Problem: as `insert`; 409 for a key that was used for another post, or whose post was deleted, and for
            a picture that another post has got meanwhile.
    """
    try:
        async with state.database.session() as session:
            written = await insert(session, author, new, idempotency_key)
    except asyncpg.IntegrityConstraintViolationError:
        raise problems.conflict(
            "One of the pictures is in another post or message.", "media_ids"
        ) from None
    if written is None:
        return await _written_before(state, author, new, idempotency_key)
    await announce(state, written)
    return await state.rendering.post(author, written.row)


async def insert(
    session: Session, author: UUID, new: NewPost, idempotency_key: str | None
) -> Written | None:
    """Store a post with its delivery, which `announce` begins after the commit.

    Returns:
        What is known of it then, or None if the author has used the key before, or has no account any more.

    Raises:
        Problem: 422 for a reply to a post that the author cannot read, a quote of one that they may not
            quote, or a picture that they may not attach.
        asyncpg.IntegrityConstraintViolationError: another post or message has got one of the pictures.
    """
    root_id = await _root_of_thread(session, author, new.reply_to)
    await _require_quotable(session, author, new.quote_of)
    await _require_attachable(session, author, new.media_ids)
    found = tokens.parsed(new.text)
    mentioned = await session.rows("mentionable", author, found.mentions) if found.mentions else []
    poll = new.poll
    row = await session.row(
        "insert_post",
        author,
        new.text,
        new.visibility,
        new.reply_to,
        root_id,
        new.quote_of,
        new.content_warning,
        new.quotable_by,
        idempotency_key,
        _hash(new) if idempotency_key is not None else None,
        [tag.folded for tag in found.tags],
        [tag.spelling for tag in found.tags],
        [one["id"] for one in mentioned],
        new.media_ids,
        *((poll.options, poll.expires_in_seconds, poll.multiple) if poll else ((), None, None)),
        logs.request_id(),
    )
    if row is None:
        return None
    content = PostContent(
        row["id"],
        new.text,
        new.visibility,
        new.reply_to,
        new.quote_of,
        False,
        new.quotable_by,
        row["created_at"],
        None,
        new.content_warning,
        [one["username"] for one in mentioned],
        sorted(tag.folded for tag in found.tags),
        (),
    )
    decided = Row(
        row["id"],
        1,
        author,
        row["author_version"],
        new.quote_of,
        poll is not None,
        *(0, 0, 0, False, False, False),
    )
    return Written(decided, content, bool(new.media_ids), row["job_id"], row["is_synthetic"])


async def announce(state: FeedState, written: Written) -> None:
    """Deliver a post that was just committed; return when done or after a moment."""
    if not written.is_synthetic:
        metrics.POSTS_CREATED.inc()
    row, content = written.row, written.content
    if not written.has_pictures:
        state.rendering.remember(row.version, content)
    if written.job_id is not None:
        post = Delivered(row.author_id, content.visibility, content.created_at, row[:COLUMNS])
        await state.deliveries.begin(written.job_id, post)


async def _root_of_thread(session: Session, author: UUID, reply_to: UUID | None) -> UUID | None:
    if reply_to is None:
        return None
    root_id: UUID | None = await session.value("answerable", author, reply_to)
    if root_id is None:
        raise problems.invalid({"reply_to": "does not exist, or you may not see it"})
    return root_id


async def _require_quotable(session: Session, author: UUID, quote_of: UUID | None) -> None:
    if quote_of is None:
        return
    may: bool | None = await session.value("quotable", author, quote_of)
    if may is None:
        raise problems.invalid({"quote_of": "does not exist, or you may not see it"})
    if not may:
        raise problems.invalid({"quote_of": "may not be quoted: its author does not let you"})


async def _require_attachable(session: Session, author: UUID, media_ids: Sequence[UUID]) -> None:
    if media_ids and await session.value("attachable", author, media_ids) < len(media_ids):
        raise problems.invalid({"media_ids": NOT_ATTACHABLE})


async def read(state: FeedState, viewer: UUID | None, post_id: UUID) -> Post:
    """Return one post.

    Raises:
        Problem: 404 if there is no such post, or the viewer may not read it.
    """
    rows = await state.database.rows("readable", viewer, [post_id])
    posts = await state.rendering.posts(viewer, rows)
    if not posts:
        raise problems.not_found("post")
    return posts[0]


async def change(state: FeedState, author: UUID, post_id: UUID, new: PostChange) -> Post:
    """Change the author's own post; what it said is kept as an edit. Without a change, nothing happens.

    Raises:
        Problem: 404 if the author has no such post, 422 for no text where there are no pictures.
    """
    async with state.database.transaction() as session:
        await session.rows("lock_members", [author])
        old = await session.row("own_post", post_id, author)
        if old is None:
            raise problems.not_found("post of yours")
        text = _or(new.text, old["text"])
        if not text and not old["has_media"]:
            raise problems.invalid({"text": "must not be empty"})
        visibility = _or(new.visibility, old["visibility"])
        warning = _or(new.content_warning, old["content_warning"])
        quotable_by = _or(new.quotable_by, old["quotable_by"])
        is_edited = (text, warning) != (old["text"], old["content_warning"])
        if is_edited:
            await session.execute("keep_edit", post_id)
            found = tokens.parsed(text)
            await session.execute(
                "replace_tags",
                post_id,
                [tag.folded for tag in found.tags],
                author,
                found.mentions,
                [tag.spelling for tag in found.tags],
            )
        if is_edited or (visibility, quotable_by) != (old["visibility"], old["quotable_by"]):
            await session.execute(
                "update_post",
                post_id,
                text,
                visibility,
                warning,
                quotable_by,
                is_edited,
                logs.request_id(),
            )
        if old["visibility"] in UNDELIVERED and visibility not in UNDELIVERED:
            await enqueue(session, DELIVER_POST, DeliverPost(post_id))
    return await read(state, author, post_id)


async def delete(database: Database, author: UUID, post_id: UUID) -> None:
    """Delete the author's own post.

    Raises:
        Problem: 404 if the author has no such post.
    """
    async with database.transaction() as session:
        # Before the rest: what others did until these locks were had is seen by the next statement only.
        await session.rows("lock_members", [author])
        if await session.row("own_post", post_id, author) is None:
            raise problems.not_found("post of yours")
        await session.execute("delete_post", post_id, logs.request_id())


async def like(database: Database, member: UUID, post_id: UUID) -> None:
    """Like a post that the member may read; repeating it changes nothing.

    Raises:
        Problem: 404 if there is no such post, or the member may not read it.
    """
    async with database.session() as session:
        if not await session.value("like", post_id, member, logs.request_id()):
            raise problems.not_found("post")


async def unlike(database: Database, member: UUID, post_id: UUID) -> None:
    """Take a like back, also of a post that the member may not read any more."""
    async with database.session() as session:
        await session.execute("unlike", post_id, member, logs.request_id())


async def repost(state: FeedState, member: UUID, post_id: UUID) -> None:
    """Share a post with the member's followers; repeating it changes nothing.

    Raises:
        Problem: 404 if there is no such post, or the member may not read it; 403 for one that is for few.
    """
    async with state.database.session() as session:
        row = await session.row("repost", post_id, member, logs.request_id())
    if row is None:
        raise problems.not_found("post")
    if not row["may"]:
        raise problems.forbidden("Only posts that are public or for a university can be reposted.")
    if row["job_id"] is not None:
        await state.deliveries.begin_repost(row["job_id"], row["repost_id"], post_id, member)


async def unrepost(database: Database, member: UUID, post_id: UUID) -> None:
    """Take a repost back, also of a post that the member may not read any more."""
    async with database.session() as session:
        await session.execute("unrepost", post_id, member, logs.request_id())


async def replies(
    state: FeedState, viewer: UUID | None, post_id: UUID, paging: Paging
) -> Page[Post]:
    """Return a page of the replies to a post that the viewer may read, oldest first."""
    if not await state.database.row("readable", viewer, [post_id]):
        raise problems.not_found("post")
    rows = await state.database.rows("replies", viewer, post_id, *paging.window)
    return await state.rendering.page(viewer, rows, paging)


async def of_member(
    state: FeedState,
    viewer: UUID | None,
    member: UUID,
    paging: Paging,
    *,
    exclude_replies: bool,
    only_media: bool,
) -> Page[Post]:
    """Return a page of a member's posts that the viewer may read, newest first."""
    rows = await state.database.rows(
        "posts_of_member", viewer, member, *paging.window, exclude_replies, only_media
    )
    return await state.rendering.page(viewer, rows, paging)


async def history(database: Database, viewer: UUID | None, post_id: UUID) -> Sequence[Edit]:
    """Return what a post said before, the latest first.

    Others than the author see what was said to everybody, or to the same people as the post is for now: a
    text that was for some does not come out when the post is for others.

    Raises:
        Problem: 404 if there is no such post, or the viewer may not read it.
    """
    if not await database.row("readable", viewer, [post_id]):
        raise problems.not_found("post")
    return [Edit(*row) for row in await database.rows("edits", post_id, viewer, MAX_EDITS)]


async def _written_before(state: FeedState, author: UUID, new: NewPost, key: str | None) -> Post:
    before = await state.database.row("post_by_idempotency_key", author, key) if key else None
    if before is None:
        raise problems.not_signed_in("This account no longer exists.")
    # Posts of earlier versions have no hash.
    if before["request_hash"] not in (None, _hash(new)):
        raise problems.conflict(
            "This Idempotency-Key was used for another post; use a new one.", "Idempotency-Key"
        )
    if before["deleted_at"] is not None:
        raise problems.conflict(
            "The post that was written with this Idempotency-Key is deleted; use a new one.",
            "Idempotency-Key",
        )
    return await read(state, author, before["id"])


def _hash(new: NewPost) -> bytes:
    return hashlib.sha256(msgspec.json.encode(new)).digest()


def _or(new: T | msgspec.UnsetType, old: T) -> T:
    return old if new is msgspec.UNSET else new
