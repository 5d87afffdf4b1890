"""Where notifications may have changed: jobs that the services write with the facts they change.

A job says where to look, not what to tell: the websocket service compares what is there with what was told
(docs/notifications.md). So jobs may be repeated, late or out of order. Hot statements write the job
themselves, as ``like`` does; the payload is then the JSON of a struct of `Notify`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from chitlaq.core.data.jobs import JobKind

BATCH = 500


class Reaction(msgspec.Struct, frozen=True, tag="reaction"):
    """A member likes or reposts a post of another's, or has taken that back."""

    kind: Literal["like", "repost"]
    post_id: UUID
    author_id: UUID
    member_id: UUID


Notify: TypeAlias = Reaction

NOTIFY = JobKind("notify", Notify, longest_pause_seconds=60.0, batch=BATCH)
