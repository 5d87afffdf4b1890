"""Polls over HTTP; they are made with their posts."""

from __future__ import annotations

from uuid import UUID

from litestar import put

from chitlaq.core.http.identity import Identity
from chitlaq.services.feed.polls import polls
from chitlaq.services.feed.polls.schemas import Vote
from chitlaq.services.feed.schemas import Post
from chitlaq.services.feed.state import FeedState


@put("/posts/{post_id:uuid}/vote", summary="Vote in a poll, once", refuses=(403, 409))
async def vote(post_id: UUID, data: Vote, member: Identity, state: FeedState) -> Post:
    return await polls.vote(state, member.account_id, post_id, data)
