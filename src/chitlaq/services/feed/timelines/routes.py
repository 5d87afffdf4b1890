"""The home feed over HTTP."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import get
from litestar.params import Parameter

from chitlaq.core.http.identity import Identity
from chitlaq.core.http.paging import Page, Paging
from chitlaq.services.feed.schemas import Post
from chitlaq.services.feed.state import FeedState
from chitlaq.services.feed.timelines import timelines

After = Annotated[
    UUID | None,
    Parameter(
        description="Only what is newer: the id of a post, or of its repost (`reposted_by.id`)."
    ),
]


@get("/feed/home", summary="The home feed; the latest public posts for those not signed in")
async def home(
    viewer: Identity | None, state: FeedState, paging: Paging, after: After = None
) -> Page[Post]:
    if viewer is None:
        return await timelines.latest(state, paging, after)
    return await state.home.page(viewer.account_id, paging, after)
