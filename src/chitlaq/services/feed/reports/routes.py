"""Reports over HTTP."""

from __future__ import annotations

from uuid import UUID

from litestar import put

from chitlaq.core.http.identity import Identity
from chitlaq.services.feed.reports import reports
from chitlaq.services.feed.reports.schemas import Report
from chitlaq.services.feed.state import FeedState


@put("/users/{username:str}/report", status_code=204, summary="Report a member to the moderators")
async def report_member(username: str, data: Report, member: Identity, state: FeedState) -> None:
    await reports.report_member(state.database, member.account_id, username, data)


@put("/posts/{post_id:uuid}/report", status_code=204, summary="Report a post to the moderators")
async def report_post(post_id: UUID, data: Report, member: Identity, state: FeedState) -> None:
    await reports.report_post(state.database, member.account_id, post_id, data)
