"""Deliveries: a new post reaches its followers' timelines and is announced, even after a crash."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from chitlaq.core.data import events
from chitlaq.core.data.jobs import Handler, Job, JobKind, Runner
from chitlaq.core.data.postgres import Database
from chitlaq.core.data.valkey import Valkey
from chitlaq.core.telemetry import logs
from chitlaq.services.feed.rendering import COLUMNS, Rendering
from chitlaq.services.feed.timelines.cache import Entry, Timelines

BATCH = 1000
# Most deliveries take milliseconds; the author's request waits no longer than this.
PATIENCE_SECONDS = 0.25


class DeliverPost(msgspec.Struct, frozen=True):
    post_id: UUID


class DeliverRepost(msgspec.Struct, frozen=True):
    repost_id: UUID
    post_id: UUID
    member_id: UUID


DELIVER_POST = JobKind("deliver_post", DeliverPost, longest_pause_seconds=60.0)
DELIVER_REPOST = JobKind("deliver_repost", DeliverRepost, longest_pause_seconds=60.0)


class Delivered(NamedTuple):
    """What a delivery needs to know of a post."""

    author_id: UUID
    visibility: str
    created_at: datetime
    row: Sequence[Any]
    """As `Row`."""


class Deliveries:
    def __init__(
        self,
        database: Database,
        client: Valkey,
        timelines: Timelines,
        rendering: Rendering,
        *others: Handler[Any],
    ) -> None:
        self._database = database
        self._client = client
        self._timelines = timelines
        self._rendering = rendering
        self._just_written: dict[UUID, Delivered] = {}
        own = Handler(DELIVER_POST, self._deliver), Handler(DELIVER_REPOST, self._deliver_repost)
        self.runner = Runner(database, *own, *others, client=client)

    async def begin(self, job_id: UUID, post: Delivered) -> None:
        """Deliver a post that was just committed with its job; return when done or after a moment."""
        post_id: UUID = post.row[0]
        self._just_written[post_id] = post
        await self.runner.run_now(DELIVER_POST, job_id, DeliverPost(post_id), PATIENCE_SECONDS)

    async def begin_repost(
        self, job_id: UUID, repost_id: UUID, post_id: UUID, member_id: UUID
    ) -> None:
        """Deliver a repost that was just committed with its job; return when done or after a moment."""
        payload = DeliverRepost(repost_id, post_id, member_id)
        await self.runner.run_now(DELIVER_REPOST, job_id, payload, PATIENCE_SECONDS)

    async def _deliver_repost(self, _job: Job, payload: DeliverRepost) -> None:
        entry = Entry(payload.repost_id, payload.post_id)
        await self._add_to_followers(payload.member_id, entry)

    async def _deliver(self, _job: Job, payload: DeliverPost) -> None:
        post = self._just_written.pop(payload.post_id, None) or await self._read(payload.post_id)
        if post is None:
            return
        entry = Entry(payload.post_id, payload.post_id)
        if post.visibility in ("self", "mentioned"):
            await self._timelines.add([post.author_id], entry)
            return
        await self._add_to_followers(post.author_id, entry, also=(post.author_id,))
        for encoded in await self._rendering.encoded(None, [post.row]):
            body = msgspec.Raw(encoded)
            event = events.PostCreated(logs.request_id(), payload.post_id, post.created_at, body)
            await events.publish(self._client, event)

    async def _read(self, post_id: UUID) -> Delivered | None:
        row = await self._database.row("delivered_post", post_id)
        if row is None:
            return None
        return Delivered(
            row["author_id"], row["visibility"], row["created_at"], tuple(row)[:COLUMNS]
        )

    async def _add_to_followers(
        self, author: UUID, entry: Entry, also: Sequence[UUID] = ()
    ) -> None:
        """Add an entry to the timelines of an author's followers, and of others."""
        after: UUID | None = None
        while True:
            rows = await self._database.rows("follower_ids", author, after, BATCH)
            followers = [row["follower_id"] for row in rows]
            await self._timelines.add([*also, *followers], entry)
            also = ()
            if len(followers) < BATCH:
                return
            after = followers[-1]
