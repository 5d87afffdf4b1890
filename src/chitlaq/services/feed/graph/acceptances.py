"""Acceptances: who goes public lets everybody follow who has asked for it, also after a crash."""

from __future__ import annotations

from uuid import UUID

import msgspec

from chitlaq.core.data.jobs import Handler, Job, JobKind, Runner
from chitlaq.core.data.postgres import Database
from chitlaq.core.telemetry import logs
from chitlaq.services.feed.timelines.cache import Timelines

BATCH = 200
"""Requests that one transaction accepts: those members wait no longer for it."""
PATIENCE_SECONDS = 5.0
"""Few members have more requests than are accepted within milliseconds."""


class AcceptRequests(msgspec.Struct, frozen=True):
    member_id: UUID


ACCEPT_REQUESTS = JobKind("accept_follow_requests", AcceptRequests)


async def begin(runner: Runner, job_id: UUID, member: UUID) -> None:
    """Accept all requests to a member who has just gone public; return when done or after a while."""
    await runner.run_now(ACCEPT_REQUESTS, job_id, AcceptRequests(member), PATIENCE_SECONDS)


def handler(database: Database, timelines: Timelines) -> Handler[AcceptRequests]:
    """Return what accepts the requests to a member; it stops when they are private again."""

    async def accept(_job: Job, payload: AcceptRequests) -> None:
        member = payload.member_id
        while True:
            rows = await database.rows("oldest_requests", member, BATCH)
            requesters = [row["requester_id"] for row in rows]
            async with database.transaction() as session:
                await session.rows("lock_members", [member, *requesters])
                accepted = await session.rows(
                    "accept_requests", member, requesters, False, logs.request_id()
                )
            await timelines.forget(*(row["follower_id"] for row in accepted))
            if not accepted:
                return

    return Handler(ACCEPT_REQUESTS, accept)
