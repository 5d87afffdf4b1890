"""feed-service: its slices, and what they share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

from chitlaq import inventory
from chitlaq.core import tasks
from chitlaq.core.data import member_data
from chitlaq.core.http.paging import Paging
from chitlaq.core.http.service import Context, HotPage, Service
from chitlaq.services.feed import daily
from chitlaq.services.feed.departures import recounts
from chitlaq.services.feed.departures.departures import contribution
from chitlaq.services.feed.discovery import ranking, retagging
from chitlaq.services.feed.drafts import drafts
from chitlaq.services.feed.graph import acceptances, announcements, counters
from chitlaq.services.feed.media import collecting, render_job, serving, sweeping
from chitlaq.services.feed.media.store import MediaStore
from chitlaq.services.feed.rendering import Rendering
from chitlaq.services.feed.state import FeedState
from chitlaq.services.feed.timelines.cache import Timelines
from chitlaq.services.feed.timelines.deliveries import Deliveries
from chitlaq.services.feed.timelines.home import HomeFeed


@asynccontextmanager
async def run(context: Context) -> AsyncIterator[FeedState]:
    timelines = Timelines(context.database, context.valkey)
    store = MediaStore(context.home, context.settings)
    parts = member_data.handlers(context.database, contribution(context.database, timelines, store))
    rendering = Rendering(context.database)
    deliveries = Deliveries(
        context.database,
        context.valkey,
        timelines,
        rendering,
        acceptances.handler(context.database, timelines),
        announcements.handler(context.valkey),
        counters.handler(context.database),
        recounts.handler(context.database),
        sweeping.handler(context.database, store),
        render_job.handler(context.database, store, context.home.uploads),
        retagging.handler(context.database),
        drafts.handler(lambda: state),
        *parts,
    )
    state = FeedState(
        database=context.database,
        rendering=rendering,
        timelines=timelines,
        home=HomeFeed(context.database, timelines, rendering),
        deliveries=deliveries,
        pictures=serving.Pictures(
            store,
            context.settings.media,
            context.home.uploads,
            asyncio.Semaphore(serving.STREAMS_AT_ONCE),
        ),
    )
    async with (
        tasks.running(
            timelines.forget_forever,
            partial(
                daily.plan_forever,
                context.database,
                counters.REPAIR_COUNTERS,
                sweeping.SWEEP_PICTURES,
            ),
            partial(collecting.collect_forever, context.database, store),
            partial(ranking.rank_forever, context.database),
        ),
        deliveries.runner.running(),
    ):
        yield state


async def _home(state: FeedState, member: UUID, paging: Paging, _text: str) -> bytes:
    return await state.home.page_json(member, paging)


SERVICE = Service(
    inventory.COMPONENTS["feed-service"],
    writes=True,
    slices=(
        "timelines",
        "discovery",
        "posts",
        "threads",
        "interactions",
        "bookmarks",
        "polls",
        "drafts",
        "members",
        "graph",
        "mutes",
        "reports",
        "suggestions",
        "media",
    ),
    run=run,
    hot_pages={"/feed/home": HotPage(_home)},
    query_packages=("chitlaq.services.feed.departures",),
)
