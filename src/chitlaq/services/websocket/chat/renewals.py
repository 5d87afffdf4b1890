"""Messages whose pictures are ready, have failed or are described anew: shown again on every device.

Pictures know the message that has them, and ask for this by a job (migration 0036).
"""

from __future__ import annotations

from functools import partial
from uuid import UUID

import msgspec

from chitlaq.core.data.jobs import Handler, Job, JobKind
from chitlaq.services.websocket.chat.changes import Changes
from chitlaq.services.websocket.chat.stored import Place


class RenewMessage(msgspec.Struct, frozen=True):
    conversation_id: UUID
    seq: int


def handler(changes: Changes) -> Handler[RenewMessage]:
    """Return what tells everybody that a message's pictures have changed."""
    return Handler(JobKind("renew_message", RenewMessage), partial(_renew, changes))


async def _renew(changes: Changes, job: Job, payload: RenewMessage) -> None:
    place = Place(payload.conversation_id, payload.seq)
    async with job.completing() as session:
        await session.execute("touch_message", *place)
    changes.changed(place)
