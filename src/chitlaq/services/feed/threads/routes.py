"""Threads over HTTP."""

from __future__ import annotations

from uuid import UUID

from litestar import get

from chitlaq.core.http.identity import Identity, account_id
from chitlaq.core.http.paging import Paging
from chitlaq.services.feed.state import FeedState
from chitlaq.services.feed.threads import threads
from chitlaq.services.feed.threads.schemas import Thread


@get("/posts/{post_id:uuid}/thread", summary="A post with what it answers and what answers it")
async def thread(
    post_id: UUID, viewer: Identity | None, state: FeedState, paging: Paging
) -> Thread:
    return await threads.thread(state, account_id(viewer), post_id, paging)
