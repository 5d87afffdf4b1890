"""Causes: jobs say where they may have changed; what is stored follows."""

from __future__ import annotations

from collections.abc import Sequence

from chitlaq.core.data.jobs import Batch, BatchHandler
from chitlaq.core.data.notify import NOTIFY, Notify, Reaction
from chitlaq.core.data.postgres import Session
from chitlaq.services.websocket.notifications.telling import GONE, Cause, State, Telling


def handler(telling: Telling) -> BatchHandler[Notify]:
    """Return what looks where jobs say."""

    async def work(batch: Batch[Notify]) -> None:
        async with batch.completing() as session:
            causes = await _looked_at(session, batch.payloads)
            there = await telling.lock(session, {cause.recipient_id for cause in causes})
            asked = [cause for cause in causes if cause.recipient_id in there]
            changes = await telling.tell(session, await _states(session, asked))
        await telling.after_commit(changes)

    return BatchHandler(NOTIFY, work)


async def _looked_at(session: Session, payloads: Sequence[Notify]) -> set[Cause]:
    """Return the causes that these jobs are about: those that may have begun, and those that may be gone."""
    causes = set()
    for payload in payloads:
        match payload:
            case Reaction(kind, post_id, author_id, member_id):
                causes.add(Cause(author_id, kind, post_id, member_id))
    return causes


async def _states(session: Session, causes: Sequence[Cause]) -> dict[Cause, State]:
    """Ask feed-service how these causes are now."""
    states = dict.fromkeys(causes, GONE)
    if causes:
        columns = [list(each) for each in zip(*causes, strict=True)]
        for row in await session.rows("causes", *columns):
            states[causes[row["number"] - 1]] = State(row["at"], not row["is_muted"])
    return states
