"""Retagging: posts that were stored under an older grammar of tags get those of today's, once."""

from __future__ import annotations

from uuid import UUID

import msgspec

from chitlaq.core.data.jobs import Handler, Job, JobKind
from chitlaq.core.data.postgres import Database
from chitlaq.core.text import tokens

BATCH = 500
"""Posts that one transaction locks: who edits one of them waits no longer for it."""


class TagPosts(msgspec.Struct, frozen=True):
    pass


TAG_POSTS = JobKind("tag_posts", TagPosts, timeout_seconds=6 * 3600.0, limit=1)


def handler(database: Database) -> Handler[TagPosts]:
    """Return what tags all posts again; the migration to a newer grammar enqueues the job."""

    async def retag(_job: Job, _payload: TagPosts) -> None:
        after: UUID | None = None
        while True:
            async with database.transaction() as session:
                rows = await session.rows("posts_to_tag", after, BATCH)
                if not rows:
                    return
                found = [(id_, tag) for id_, text in rows for tag in tokens.parsed(text).tags]
                await session.execute(
                    "retag_posts",
                    [row["id"] for row in rows],
                    [id_ for id_, _ in found],
                    [tag.folded for _, tag in found],
                    [tag.spelling for _, tag in found],
                )
            after = rows[-1]["id"]

    return Handler(TAG_POSTS, retag)
