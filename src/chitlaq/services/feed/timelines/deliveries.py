"""Deliveries: a new post reaches its followers' timelines and is announced, even after a crash."""

from __future__ import annotations

from typing import Any
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
        own = Handler(DELIVER_POST, self._deliver), Handler(DELIVER_REPOST, self._deliver_repost)
        self.runner = Runner(database, *own, *others, client=client)

    async def begin(self, job_id: UUID, post_id: UUID) -> None:
        """Deliver a post that was just committed with its job; return when done or after a moment."""
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
        post_id = payload.post_id
        row = await self._database.row("delivered_post", post_id)
        if row is None or row["reply_to"] is not None:  # replies are read below their post
            return
        author: UUID = row["author_id"]
        entry = Entry(post_id, post_id)
        await self._timelines.add([author], entry)
        if row["visibility"] in ("self", "mentioned"):
            return
        await self._add_to_followers(author, entry)
        for post in await self._rendering.encoded(None, [row[:COLUMNS]]):
            event = events.PostCreated(
                logs.request_id(), post_id, row["created_at"], msgspec.Raw(post)
            )
            await events.publish(self._client, event)

    async def _add_to_followers(self, author: UUID, entry: Entry) -> None:
        after: UUID | None = None
        while True:
            rows = await self._database.rows("follower_ids", author, after, BATCH)
            if not rows:
                return
            followers = [row["follower_id"] for row in rows]
            await self._timelines.add(followers, entry)
            if len(followers) < BATCH:
                return
            after = followers[-1]
