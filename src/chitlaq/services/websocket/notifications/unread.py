"""Unread messages: told when they are ten seconds old and nobody has read them; gone when they are read.

No message writes a job. A sweep looks every few seconds at the messages that came of age since the last one,
and lets those conversations be looked at in which somebody is to be told.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

import msgspec

from chitlaq.core.data.jobs import Handler, Job, JobKind
from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.telemetry import logs

SWEEP_SECONDS = 5.0
# A sweep that was never planned, or given up, is planned anew after this time.
LOOK_SECONDS = 60.0
# The first one goes back so far.
FIRST_SECONDS = 3600.0

log = logs.get("notifications")


class SweepMessages(msgspec.Struct, frozen=True):
    """Look at what came of age since then."""

    since: datetime


SWEEP_MESSAGES = JobKind("sweep_messages", SweepMessages, limit=1, longest_pause_seconds=60.0)


async def plan_forever(database: Database) -> None:
    """Let there be a sweep, whenever none is planned."""
    while True:
        try:
            async with database.transaction() as session:
                if await session.value("try_lock_kind", SWEEP_MESSAGES.name):
                    await session.execute("plan_sweep", 0.0, FIRST_SECONDS, logs.request_id())
        except PostgresUnavailableError as error:
            log.warning("sweep not planned", error=str(error))
        await asyncio.sleep(LOOK_SECONDS)


def handler(database: Database) -> Handler[SweepMessages]:
    """Return what sweeps, and plans the next sweep."""

    async def sweep(job: Job, payload: SweepMessages) -> None:
        async with job.completing() as session:
            await session.execute("sweep_messages", payload.since, logs.request_id())
            await session.execute("forget_shrunk")
            await session.execute("plan_sweep", SWEEP_SECONDS, 0.0, logs.request_id())

    return Handler(SWEEP_MESSAGES, sweep)
