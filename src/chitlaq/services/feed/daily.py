"""Jobs that run once a day: each is planned for tomorrow whenever none is."""

from __future__ import annotations

import asyncio
from typing import Any

from chitlaq.core.data.jobs import JobKind
from chitlaq.core.data.postgres import Database
from chitlaq.core.telemetry import logs

LOOK_SECONDS = 3600.0


async def plan_forever(database: Database, *kinds: JobKind[Any]) -> None:
    """Let the next job of each kind, whose payload is empty, be a day from now."""
    while True:
        for kind in kinds:
            async with database.transaction() as session:
                if await session.value("try_lock_kind", kind.name):
                    await session.execute("plan_daily", kind.name, logs.request_id())
        await asyncio.sleep(LOOK_SECONDS)
