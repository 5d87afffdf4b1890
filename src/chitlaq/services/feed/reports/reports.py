"""Reports are for moderators alone: who is reported is not told, nor by whom."""

from __future__ import annotations

from uuid import UUID

from chitlaq.core.data.postgres import Database
from chitlaq.core.http import problems
from chitlaq.services.feed.members import members
from chitlaq.services.feed.reports.schemas import Report


async def report_member(database: Database, member: UUID, username: str, report: Report) -> None:
    """Keep a report of a member; a further one of the same member replaces it.

    Raises:
        Problem: 404 for an unknown member, 422 for the member's own account.
    """
    other = await members.named(database, username)
    if other == member:
        raise problems.invalid({"username": "is your own account"})
    async with database.session() as session:
        await session.execute("report_member", member, other, report.reason, report.note)


async def report_post(database: Database, member: UUID, post_id: UUID, report: Report) -> None:
    """Keep a report of a post, with what it says now; a further one of the same post replaces it.

    Raises:
        Problem: 404 if there is no such post, or the member may not read it; 422 for a post of their own.
    """
    async with database.session() as session:
        author = await session.value("author_to_report", member, post_id)
        if author is None:
            raise problems.not_found("post")
        if author == member:
            raise problems.invalid({"post_id": "is your own post"})
        await session.execute("report_post", member, post_id, report.reason, report.note)
