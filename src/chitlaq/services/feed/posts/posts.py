"""Posts: writing, reading, changing, liking; and the feeds that are made of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from chitlaq.core.data.batching import Batcher
from chitlaq.core.data.postgres import Database
from chitlaq.core.http import problems
from chitlaq.core.http.paging import Page, Paging, cursor_after
from chitlaq.core.telemetry import logs
from chitlaq.services.feed import metrics
from chitlaq.services.feed.deliveries import Deliveries
from chitlaq.services.feed.posts.schemas import NewPost, Post, PostChange
from chitlaq.services.feed.timelines.cache import Timelines

TAG = re.compile(r"#(\w{1,100})")
MAX_TAGS = 30
# Ids read beyond what a page needs, for those that the viewer may not read: a second question would
# cost as much as the first, and PostgreSQL stops when it has found enough.
SPARE = 10

log = logs.get("posts")


class HomePosts(NamedTuple):
    """Of these posts the newest ones that belong in a member's home feed."""

    member: UUID
    ids: list[UUID]
    wanted: int


def tags_of(text: str) -> list[str]:
    """The hashtags of a text, in lower case, each once, in their order."""
    found = dict.fromkeys(tag.lower() for tag in TAG.findall(text))
    return [tag for tag in found if not tag.isdecimal()][:MAX_TAGS]


class Posts:
    def __init__(self, database: Database, timelines: Timelines, deliveries: Deliveries) -> None:
        self._database = database
        self._timelines = timelines
        self._deliveries = deliveries
        self._home_posts = Batcher(self._read_home_posts)

    async def write(self, author: UUID, new: NewPost, idempotency_key: str | None) -> Post:
        """Store a post and deliver it to those who follow the author.

        With an idempotency key that the author used before, the post of that time is returned.

        Raises:
            Problem: 422 for a reply to something the author cannot read, 409 for a key that was
                used for another text.
        """
        if new.reply_to is not None and await self._row(author, new.reply_to) is None:
            raise problems.invalid({"reply_to": "there is no such post, or it is not yours to see"})
        try:
            async with self._database.session() as session:
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
            raise problems.not_signed_in("This account is gone.") from None
        if row is None:
            return await self._written_before(author, new, idempotency_key)
        metrics.POSTS_CREATED.inc()
        await self._deliveries.begin(row["job_id"], row["id"])
        return await self.read(author, row["id"])

    async def _written_before(self, author: UUID, new: NewPost, key: str | None) -> Post:
        row = await self._database.row("post_by_idempotency_key", author, key)
        if row is None or (row["text"], row["visibility"], row["reply_to"]) != (
            new.text,
            new.visibility,
            new.reply_to,
        ):
            raise problems.conflict(
                "This Idempotency-Key was used for another post; take a new one.", "Idempotency-Key"
            )
        return await self.read(author, row["id"])

    async def read(self, viewer: UUID | None, post_id: UUID) -> Post:
        """Return one post.

        Raises:
            Problem: 404 when there is none, or none that the viewer may read.
        """
        row = await self._row(viewer, post_id)
        if row is None:
            raise problems.not_found("post")
        return Post.of(row)

    async def change(self, author: UUID, post_id: UUID, change: PostChange) -> Post:
        async with self._database.transaction() as session:
            changed = await session.execute(
                "update_post", post_id, author, change.text, change.visibility
            )
            if not changed:
                raise problems.not_found("post of yours")
            if change.text is not None:
                await session.execute("replace_tags", post_id, tags_of(change.text))
        return await self.read(author, post_id)

    async def delete(self, author: UUID, post_id: UUID) -> None:
        async with self._database.session() as session:
            if not await session.execute("delete_post", post_id, author):
                raise problems.not_found("post of yours")

    async def like(self, member: UUID, post_id: UUID, *, liked: bool) -> None:
        """Like a post that the member may read, or take the like back; again changes nothing."""
        await self.read(member, post_id)
        async with self._database.session() as session:
            await session.execute("like" if liked else "unlike", post_id, member)

    async def replies(self, viewer: UUID | None, post_id: UUID, paging: Paging) -> Page[Post]:
        await self.read(viewer, post_id)
        rows = await self._database.rows(
            "replies", viewer, post_id, paging.before, paging.offset, paging.limit + 1
        )
        return _page(rows, paging)

    async def home(self, member: UUID, paging: Paging) -> Page[Post]:
        """Return a page of a member's home feed, newest first."""
        wanted = paging.limit + 1
        rows: list[Any] = []
        skip, before = paging.offset, paging.before
        while len(rows) < wanted:
            take = wanted + SPARE
            if before is None:
                ids = await self._timelines.ids(member, skip, take)
            else:
                ids = await self._timelines.ids_before(member, before, take)
            if ids:
                rows += await self._home_posts.ask(HomePosts(member, ids, wanted - len(rows)))
            if len(ids) < take:
                break
            skip, before = skip + take, ids[-1] if before else None
        return _page(rows, paging)

    async def _read_home_posts(self, asked: Sequence[HomePosts]) -> list[list[Any]]:
        firsts: list[int] = []
        lasts: list[int] = []
        ids: list[UUID] = []
        for one in asked:
            firsts.append(len(ids) + 1)
            ids += one.ids
            lasts.append(len(ids))
        rows = await self._database.rows(
            "home_posts",
            [one.member for one in asked],
            firsts,
            lasts,
            [one.wanted for one in asked],
            ids,
        )
        found: list[list[Any]] = [[] for _ in asked]
        for row in rows:
            found[row[0] - 1].append(row[1:])
        return found

    async def explore(self, viewer: UUID | None, paging: Paging) -> Page[Post]:
        """Return a page of everybody's public posts, newest first."""
        rows = await self._database.rows(
            "public_posts", viewer, paging.before, paging.offset, paging.limit + 1
        )
        return _page(rows, paging)

    async def tagged(self, viewer: UUID | None, tag: str, paging: Paging) -> Page[Post]:
        rows = await self._database.rows(
            "tagged_posts", viewer, tag.lower(), paging.before, paging.offset, paging.limit + 1
        )
        return _page(rows, paging)

    async def of_member(self, viewer: UUID | None, member: UUID, paging: Paging) -> Page[Post]:
        rows = await self._database.rows(
            "posts_of_member", viewer, member, paging.before, paging.offset, paging.limit + 1
        )
        return _page(rows, paging)

    async def _row(self, viewer: UUID | None, post_id: UUID) -> Any:
        return await self._database.row("post", viewer, post_id)


def _page(rows: list[Any], paging: Paging) -> Page[Post]:
    items = [Post.of(row) for row in rows[: paging.limit]]
    more = len(rows) > paging.limit
    return Page(items, paging.page, paging.limit, cursor_after(items[-1].id) if more else None)
