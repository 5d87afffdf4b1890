"""Counters of members and of posts: counted again each day, and repaired where they are wrong.

Each change of what is counted changes the counters in the same transaction, so there is nothing to repair
unless something else wrote to the tables, or a fault is ours. Operations look at a sample (`feed.counters`).
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from chitlaq.core.data.jobs import Handler, Job, JobKind
from chitlaq.core.data.postgres import Database
from chitlaq.core.telemetry import logs
from chitlaq.services.feed import metrics

BATCH = 200
"""Members or posts of one transaction: who follows or likes them waits no longer for it."""

log = logs.get("counters")


class RepairCounters(msgspec.Struct, frozen=True):
    pass


REPAIR_COUNTERS = JobKind("repair_counters", RepairCounters, timeout_seconds=3600.0, limit=1)


def handler(database: Database) -> Handler[RepairCounters]:
    """Return what repairs all counters, and forgets mutes that are over and posts that were probes."""

    async def repair_members() -> None:
        after: UUID | None = None
        while True:
            rows = await database.rows("members_after", after, BATCH)
            if not rows:
                break
            members = [row["id"] for row in rows]
            async with database.transaction() as session:
                await session.rows("lock_members", members)
                wrong = await session.rows("repair_counters", members)
            for row in wrong:
                log.warning("counters repaired", **dict(row))
            metrics.COUNTERS_REPAIRED.inc(len(wrong))
            after = members[-1]

    async def repair_posts() -> None:
        after: UUID | None = None
        while rows := await database.rows("posts_after", after, BATCH):
            posts = [row["id"] for row in rows]
            # There are many, and almost all are right: only the others are locked, and looked at again.
            suspects = [row["id"] for row in await database.rows("wrong_posts", posts)]
            if suspects:
                async with database.transaction() as session:
                    await session.rows("lock_posts", suspects)
                    wrong = await session.rows("repair_posts", suspects)
                for row in wrong:
                    log.warning("counters repaired", **dict(row))
                metrics.COUNTERS_REPAIRED.inc(len(wrong))
            after = posts[-1]

    async def repair(job: Job, _payload: RepairCounters) -> None:
        await repair_members()
        await repair_posts()
        async with database.session() as session:
            await session.execute("forget_mutes")
            await session.execute("forget_probes")
            await session.execute("recount_hidden", job.request_id)

    return Handler(REPAIR_COUNTERS, repair)
