"""The home feed: ids from the member's timeline, posts from PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from chitlaq.core.data.batching import Batcher
from chitlaq.core.data.postgres import Database
from chitlaq.core.http.paging import Page, Paging
from chitlaq.services.feed.schemas import Post
from chitlaq.services.feed.timelines.cache import Timelines

# Spare ids per page, for posts that the viewer may not read: a second query would cost as much as
# the first, and PostgreSQL stops once it has enough.
SPARE = 10


class HomePosts(NamedTuple):
    """The newest of these posts that belong in a member's home feed."""

    member: UUID
    ids: list[UUID]
    wanted: int


class HomeFeed:
    """Reads home feeds; one query reads the posts for all concurrent requests."""

    def __init__(self, database: Database, timelines: Timelines) -> None:
        self._database = database
        self._timelines = timelines
        self._posts = Batcher(self._read_posts)

    async def page(self, member: UUID, paging: Paging) -> Page[Post]:
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
                rows += await self._posts.ask(HomePosts(member, ids, wanted - len(rows)))
            if len(ids) < take:
                break
            skip, before = skip + take, ids[-1] if before else None
        return paging.page_of(rows, Post.of)

    async def _read_posts(self, asked: Sequence[HomePosts]) -> list[list[Any]]:
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
