"""Announcements: other services hear of a block, also after a crash."""

from __future__ import annotations

from uuid import UUID

import msgspec

from chitlaq.core.data import events
from chitlaq.core.data.jobs import Handler, Job, JobKind, Runner
from chitlaq.core.data.valkey import Valkey
from chitlaq.core.telemetry import logs

PATIENCE_SECONDS = 0.25


class AnnounceBlock(msgspec.Struct, frozen=True):
    blocker_id: UUID
    blocked_id: UUID


ANNOUNCE_BLOCK = JobKind("announce_block", AnnounceBlock, longest_pause_seconds=60.0)


async def begin(runner: Runner, job_id: UUID, blocker: UUID, blocked: UUID) -> None:
    """Announce a block that was just committed with its job; return when done or after a moment."""
    payload = AnnounceBlock(blocker, blocked)
    await runner.run_now(ANNOUNCE_BLOCK, job_id, payload, PATIENCE_SECONDS)


def handler(client: Valkey) -> Handler[AnnounceBlock]:
    """Return what announces blocks."""

    async def announce(_job: Job, payload: AnnounceBlock) -> None:
        event = events.MemberBlocked(logs.request_id(), payload.blocker_id, payload.blocked_id)
        await events.publish(client, event)

    return Handler(ANNOUNCE_BLOCK, announce)
