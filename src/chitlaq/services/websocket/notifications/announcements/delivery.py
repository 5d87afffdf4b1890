"""Delivery: an announcement comes to its members in parts, and leaves them in parts when it is withdrawn.

A job does one part in the transaction that ends it and writes the next job, so each part happens once
however often processes are killed. A job rests first, as long as the part before took: others get half of
the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import Any
from uuid import UUID

import msgspec

from chitlaq.core.data.jobs import Handler, Job, JobKind, enqueue
from chitlaq.core.data.postgres import Session
from chitlaq.services.websocket.notifications.live import Live
from chitlaq.services.websocket.notifications.telling import GONE, Cause, Change, State, Telling

PART = 1000
"""Members who are told in one statement."""
LONGEST_REST_SECONDS = 2.0


class Announce(msgspec.Struct, frozen=True):
    """Deliver the next part of an announcement, or withdraw it."""

    announcement_id: UUID
    rest_seconds: float = 0.0


ANNOUNCE = JobKind("announce", Announce, limit=1, longest_pause_seconds=60.0)


def handler(telling: Telling, live: Live) -> Handler[Announce]:
    """Return what delivers and withdraws, as the announcement's state says."""

    async def work(job: Job, payload: Announce) -> None:
        await asyncio.sleep(payload.rest_seconds)
        started = perf_counter()
        changes: Sequence[Change] = ()
        async with telling.committing(job.completing()) as session:
            row = await session.row("lock_announcement", payload.announcement_id)
            if row is not None and row["state"] in {"delivering", "withdrawing"}:
                part = _deliver if row["state"] == "delivering" else _withdraw
                changes, has_more = await part(session, telling, payload.announcement_id, row)
                if has_more:
                    rest = min(perf_counter() - started, LONGEST_REST_SECONDS)
                    await enqueue(session, ANNOUNCE, Announce(payload.announcement_id, rest))
        await telling.after_commit(changes)
        if any(change.removed for change in changes):
            live.end_banner(payload.announcement_id, [change.recipient_id for change in changes])

    return Handler(ANNOUNCE, work)


async def _deliver(
    session: Session, telling: Telling, announcement_id: UUID, row: Any
) -> tuple[Sequence[Change], bool]:
    """Tell the next members; return what changed, and whether there are more."""
    if row["is_over"]:
        await session.execute("advance_announcement", announcement_id, None, 0, "cancelled")
        return (), False
    found = await session.rows(
        "next_recipients", row["university_id"], row["department"], row["told_until"], PART
    )
    recipients = [one["id"] for one in found]
    there = await telling.lock(session, set(recipients))
    state = State(row["created_at"])
    changes = await telling.tell(
        session, {_cause(announcement_id, one): state for one in recipients if one in there}
    )
    has_more = len(recipients) == PART
    await session.execute(
        "advance_announcement",
        announcement_id,
        recipients[-1] if recipients else None,
        len(recipients),
        "delivering" if has_more else "delivered",
    )
    return changes, has_more


async def _withdraw(
    session: Session, telling: Telling, announcement_id: UUID, _row: Any
) -> tuple[Sequence[Change], bool]:
    """Take it out for some of those who were told; return what changed, and whether there are more."""
    told = {row["id"] for row in await session.rows("told_of_announcement", announcement_id, PART)}
    there = await telling.lock(session, told)
    changes = await telling.tell(session, {_cause(announcement_id, one): GONE for one in there})
    has_more = len(told) == PART
    state = "withdrawing" if has_more else "withdrawn"
    await session.execute("advance_announcement", announcement_id, None, 0, state)
    return changes, has_more


def _cause(announcement_id: UUID, recipient: UUID) -> Cause:
    return Cause(recipient, "announcement", announcement_id, recipient)
