"""What a member liked, reposted and followed: it is not counted while they leave, and again when they stay.

A job, some rows in each transaction: whoever likes one of these posts, or follows one of these members,
meanwhile waits no longer for it. Each row says whether it is counted, so an interrupted job goes on, and a
second one finds nothing to do.
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
    """Return what lets a member be counted wherever others can see the member, and else not."""

    async def recount_posts(member: UUID, listed: str, counted: str) -> None:
        after: UUID | None = None
        while True:
            async with database.transaction() as session:
                # Who leaves or stays now waits for this batch; a job of their own follows.
                is_visible = await session.value("lock_visibility", member)
                if is_visible is None:
                    return
                rows = await session.rows(listed, member, is_visible, after, BATCH)
                if not rows:
                    return
                posts = [row["post_id"] for row in rows]
                await session.execute(counted, member, is_visible, posts)
            after = posts[-1]

    async def recount_follows(member: UUID, listed: str) -> None:
        after: UUID | None = None
        while rows := await database.rows(listed, member, after, BATCH):
            others = [row["other_id"] for row in rows]
            async with database.transaction() as session:
                # As whoever follows; only then it is true who can be seen.
                await session.rows("lock_members", [member, *others])
                await session.execute("recount_follows", member, others)
            after = others[-1]

    async def recount(_job: Job, payload: RecountMember) -> None:
        await recount_posts(payload.member_id, "likes_to_recount", "recount_likes")
        await recount_posts(payload.member_id, "reposts_to_recount", "recount_reposts")
        await recount_follows(payload.member_id, "following_to_recount")
        await recount_follows(payload.member_id, "followers_to_recount")

    return Handler(RECOUNT_MEMBER, recount)
