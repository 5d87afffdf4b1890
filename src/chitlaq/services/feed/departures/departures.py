"""Profiles, posts and follows: as a member gets them, and how they are erased.

Counters of others stay right: each like and follow that goes is taken off them. An erased post that others
have answered leaves its place in the thread, without an author or a text.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from uuid import UUID

from chitlaq import inventory
from chitlaq.core.data.member_data import Contribution, Exported, File
from chitlaq.core.data.postgres import Database
from chitlaq.services.feed.media import collecting
from chitlaq.services.feed.media.store import MediaStore, rendition_of
from chitlaq.services.feed.timelines.cache import Timelines

BATCH = 500
"""Rows that one transaction erases: members who like or follow meanwhile wait no longer for it."""


def contribution(database: Database, timelines: Timelines, store: MediaStore) -> Contribution:
    """Return feed-service's part in what is kept of a member."""
    return Contribution(
        inventory.COMPONENTS["feed-service"].role,
        (
            Exported("profile", "Your profile", "export_profile"),
            Exported("posts", "Your posts and replies", "export_posts"),
            Exported("edits", "What your posts said before you edited them", "export_edits"),
            Exported("drafts", "Your drafts and scheduled posts", "export_drafts"),
            Exported("reposts", "Posts that you shared", "export_reposts"),
            Exported("bookmarks", "Posts that you keep", "export_bookmarks"),
            Exported("votes", "How you voted in polls", "export_votes"),
            Exported("mentions", "Posts that mention you", "export_mentions"),
            Exported("pictures", "Your pictures", "export_pictures"),
            Exported("likes", "Posts that you like", "export_likes"),
            Exported("following", "Members whom you follow", "export_following"),
            Exported("followers", "Members who follow you", "export_followers"),
            Exported("follow-requests", "Requests to follow", "export_requests"),
            Exported("blocks", "Members whom you block", "export_blocks"),
            Exported("mutes", "What you mute", "export_mutes"),
            Exported("reports", "What you reported to the moderators", "export_reports"),
        ),
        more_files=partial(_pictures, store),
        erase=partial(_erase, database, timelines, store),
    )


async def _pictures(store: MediaStore, database: Database, account_id: UUID) -> AsyncIterator[File]:
    """Yield a member's pictures themselves."""
    for row in await database.rows("pictures_to_export", account_id):
        pieces = store.pieces(rendition_of(row["name"], "large.webp"))
        content = b"".join([piece async for piece in pieces])
        title = row["alt"] or f"A picture of {row['created_at']:%Y-%m-%d}"
        yield File(f"pictures/{row['id']}", title, content=content, suffix="webp")


async def _erase(
    database: Database, timelines: Timelines, store: MediaStore, account_id: UUID
) -> None:
    async with database.session() as session:
        for query in (
            "erase_likes",
            "erase_votes",
            "erase_reposts",
            "erase_follows",
            "erase_posts",
        ):
            while await session.value(query, account_id, BATCH):
                pass
        while await session.execute("forget_erased_posts"):
            pass
    await collecting.erase(database, store, account_id)
    await timelines.forget(account_id)
