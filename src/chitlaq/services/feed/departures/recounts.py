"""What a member liked and reposted is counted, or not: it is not while they leave, and again when they stay.

A job, some rows in each transaction: whoever likes one of these posts meanwhile waits no longer for it.
Each row says whether it is counted, so an interrupted job goes on, and a second one finds nothing to do.
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from chitlaq.core.data.jobs import Handler, Job, JobKind
from chitlaq.core.data.postgres import Database

BATCH = 200


class RecountMember(msgspec.Struct, frozen=True):
    member_id: UUID


RECOUNT_MEMBER = JobKind("recount_member", RecountMember, timeout_seconds=3600.0)


def handler(database: Database) -> Handler[RecountMember]:
    """Return what lets a member's likes and reposts be counted if the member can be seen, and else not."""

    async def recount(_job: Job, payload: RecountMember) -> None:
        for listed, counted in (
            ("likes_to_recount", "recount_likes"),
            ("reposts_to_recount", "recount_reposts"),
        ):
            after: UUID | None = None
            while True:
                async with database.transaction() as session:
                    # Who leaves or stays now waits for this batch; a job of their own follows.
                    is_visible = await session.value("lock_visibility", payload.member_id)
                    if is_visible is None:
                        return
                    rows = await session.rows(listed, payload.member_id, is_visible, after, BATCH)
                    if not rows:
                        break
                    posts = [row["post_id"] for row in rows]
                    await session.execute(counted, payload.member_id, is_visible, posts)
                after = posts[-1]

    return Handler(RECOUNT_MEMBER, recount)
