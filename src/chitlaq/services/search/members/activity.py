"""Activity: the day of each member's latest public post, for those who posted before search kept it."""

from __future__ import annotations

import asyncio
from time import monotonic
from uuid import UUID

import msgspec

from chitlaq.core.data.jobs import Handler, Job, JobKind
from chitlaq.core.data.postgres import Database

BATCH = 100
"""Members whom one statement locks: who posts meanwhile waits for it."""


class IndexActivity(msgspec.Struct, frozen=True):
    pass


INDEX_ACTIVITY = JobKind("index_activity", IndexActivity, timeout_seconds=6 * 3600.0, limit=1)


def handler(database: Database) -> Handler[IndexActivity]:
    """Return what looks at all members once; the migration that adds the column enqueues the job."""

    async def index(_job: Job, _payload: IndexActivity) -> None:
        after: UUID | None = None
        while True:
            began = monotonic()
            after = await database.value("index_activity", after, BATCH)
            if after is None:
                return
            # Half of a core is enough for what nobody waits for.
            await asyncio.sleep(monotonic() - began)

    return Handler(INDEX_ACTIVITY, index)
