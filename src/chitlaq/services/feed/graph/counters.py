"""Counters of followers and follows: counted again each day, and repaired where they are wrong.

Each change of a follow changes the counters in the same transaction, so there is nothing to repair unless
something else wrote to the table, or a fault is ours. Operations look at a sample (`feed.counters`).
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from chitlaq.core.data.jobs import Handler, Job, JobKind
from chitlaq.core.data.postgres import Database
from chitlaq.core.telemetry import logs
from chitlaq.services.feed import metrics

BATCH = 200
"""Members that one transaction locks: who follows them waits no longer for it."""

log = logs.get("counters")


class RepairCounters(msgspec.Struct, frozen=True):
    pass


REPAIR_COUNTERS = JobKind("repair_counters", RepairCounters, timeout_seconds=3600.0, limit=1)


def handler(database: Database) -> Handler[RepairCounters]:
    """Return what repairs all members' counters, and forgets mutes that are over."""

    async def repair(_job: Job, _payload: RepairCounters) -> None:
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
        async with database.session() as session:
            await session.execute("forget_mutes")

    return Handler(REPAIR_COUNTERS, repair)
