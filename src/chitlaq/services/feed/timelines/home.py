"""The home feed: entries from the member's timeline, and PostgreSQL's decision about each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from chitlaq.core.data.batching import Batcher
from chitlaq.core.data.postgres import Database
from chitlaq.core.http.paging import Page, Paging
from chitlaq.services.feed.rendering import Rendering
from chitlaq.services.feed.schemas import Post
from chitlaq.services.feed.timelines.cache import Entry, Timelines

# Spare entries per page, for posts that the viewer may not read: each costs 3 µs, a second query 100.
SPARE = 3


class HomePosts(NamedTuple):
    """The newest of these entries that belong in a member's home feed."""

    member: UUID
    entries: list[Entry]
    wanted: int


class HomeFeed:
    """Reads home feeds; one query reads the posts for all concurrent requests."""

    def __init__(self, database: Database, timelines: Timelines, rendering: Rendering) -> None:
        self._database = database
        self._timelines = timelines
        self._rendering = rendering
        self._posts = Batcher(self._read_posts)

    async def page(self, member: UUID, paging: Paging, after: UUID | None = None) -> Page[Post]:
        """Return a page of a member's home feed, newest first; only entries newer than ``after``."""
        return await self._rendering.page(member, await self._rows(member, paging, after), paging)

    async def page_json(self, member: UUID, paging: Paging) -> bytes:
        """Return the same page as the bytes of its response."""
        return await self._rendering.page_json(member, await self._rows(member, paging), paging)

    async def _rows(self, member: UUID, paging: Paging, after: UUID | None = None) -> list[Any]:
        """Return the rows of a `Paging.window` of a member's home feed.

        Pages are counted in what the member may read, so that they neither repeat nor skip a post because
        of others that they may not.
        """
        wanted = paging.offset + paging.limit + 1
        rows: list[Any] = []
        skip, before = 0, paging.before
        while len(rows) < wanted:
            take = wanted - len(rows) + SPARE
            if before is None:
                entries = await self._timelines.entries(member, skip, take)
            else:
                entries = await self._timelines.entries_before(member, before, take)
            is_all = len(entries) < take
            if after is not None and entries and entries[-1].id <= after:
                is_all, entries = True, [entry for entry in entries if entry.id > after]
            if entries:
                rows += await self._posts.ask(HomePosts(member, entries, wanted - len(rows)))
            if is_all:
                break
            skip, before = skip + take, entries[-1].id if before else None
        return rows[paging.offset :]

    async def _read_posts(self, asked: Sequence[HomePosts]) -> list[list[Any]]:
        firsts: list[int] = []
        lasts: list[int] = []
        entries: list[Entry] = []
        for one in asked:
            firsts.append(len(entries) + 1)
            entries += one.entries
            lasts.append(len(entries))
        rows = await self._database.rows(
            "home_posts",
            [one.member for one in asked],
            firsts,
            lasts,
            [one.wanted for one in asked],
            [entry.post_id for entry in entries],
            [None if entry.id is entry.post_id else entry.id for entry in entries],
        )
        found: list[list[Any]] = [[] for _ in asked]
        for row in rows:
            found[row[0] - 1].append(row[1:])
        return found
