"""Deliveries: a new post reaches its followers' timelines and is announced, even after a crash."""

from __future__ import annotations

import asyncio
from uuid import UUID

import msgspec

from chitlaq.core.data import events, valkey
from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.data.valkey import Valkey
from chitlaq.core.telemetry import logs
from chitlaq.services.feed import metrics
from chitlaq.services.feed.events import PostCreated
from chitlaq.services.feed.posts.schemas import Post
from chitlaq.services.feed.timelines.cache import Timelines

BATCH = 1000
CLAIM_BATCH = 50
CLAIM_AFTER_SECONDS = 2.0
POLL_SECONDS = 1.0
# Most posts are in all timelines within milliseconds; the author waits for that, not for more.
PATIENCE_SECONDS = 0.25

log = logs.get("deliveries")

_FAULTS = (*valkey.UNAVAILABLE, PostgresUnavailableError)


class Deliveries:
    def __init__(self, database: Database, client: Valkey, timelines: Timelines) -> None:
        self._database = database
        self._client = client
        self._timelines = timelines
        self._under_way: set[asyncio.Task[None]] = set()

    async def begin(self, post: UUID) -> None:
        """Deliver a post that was just committed; return when done or after a moment."""
        task = asyncio.create_task(self._first_attempt(post))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        await asyncio.wait({task}, timeout=PATIENCE_SECONDS)

    async def pick_up_forever(self) -> None:
        """Make the deliveries that a killed process or an absent Valkey left behind."""
        while True:
            try:
                await self._timelines.forget_pending()
                while await self._pick_up() == CLAIM_BATCH:
                    pass
            except _FAULTS as error:
                log.warning("deliveries wait", error=str(error))
            await asyncio.sleep(POLL_SECONDS)

    async def finish(self) -> None:
        """Let what is under way end; what does not end in time stays for another process."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=5)

    async def _first_attempt(self, post: UUID) -> None:
        try:
            await self._deliver(post, logs.request_id())
            async with self._database.session() as session:
                await session.execute("finish_delivery", post)
        except _FAULTS as error:
            metrics.DELIVERIES.labels("postponed").inc()
            log.warning("delivery postponed", post_id=post, error=str(error))
        except Exception as error:
            log.error("delivery failed", post_id=post, fault=error)
        else:
            metrics.DELIVERIES.labels("made").inc()

    async def _pick_up(self) -> int:
        async with self._database.transaction() as session:
            rows = await session.rows("claim_deliveries", CLAIM_AFTER_SECONDS, CLAIM_BATCH)
            for row in rows:
                with logs.request_context(row["request_id"]):
                    await self._deliver(row["post_id"], row["request_id"])
                    await session.execute("finish_delivery", row["post_id"])
                    metrics.DELIVERIES.labels("picked_up").inc()
        return len(rows)

    async def _deliver(self, post_id: UUID, request_id: str) -> None:
        row = await self._database.row("delivered_post", post_id)
        if row is None or row["reply_to"] is not None:  # replies are read below their post
            return
        author: UUID = row["author_id"]
        await self._timelines.add([author], post_id)
        if row["visibility"] == "self":
            return
        await self._add_to_followers(author, post_id)
        event = PostCreated(request_id, msgspec.structs.replace(Post.of(row), liked=False))
        await self._client.execute("PUBLISH", events.CHANNEL, msgspec.json.encode(event))

    async def _add_to_followers(self, author: UUID, post_id: UUID) -> None:
        after: UUID | None = None
        while True:
            rows = await self._database.rows("follower_ids", author, after, BATCH)
            if not rows:
                return
            followers = [row["follower_id"] for row in rows]
            await self._timelines.add(followers, post_id)
            if len(followers) < BATCH:
                return
            after = followers[-1]
