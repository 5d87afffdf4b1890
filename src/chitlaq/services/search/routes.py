"""search-service: its slices, and what they share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chitlaq import inventory
from chitlaq.core import tasks
from chitlaq.core.data import member_data
from chitlaq.core.data.jobs import Runner
from chitlaq.core.http.service import Context, Service
from chitlaq.services.search.departures.departures import CONTRIBUTION
from chitlaq.services.search.history.history import History
from chitlaq.services.search.state import SearchState
from chitlaq.services.search.texts.forms import Lexicon


@asynccontextmanager
async def run(context: Context) -> AsyncIterator[SearchState]:
    history = History(context.database)
    parts = member_data.handlers(context.database, CONTRIBUTION)
    async with (
        tasks.running(history.write_forever),
        Runner(context.database, *parts).running(),
    ):
        yield SearchState(
            database=context.database, history=history, lexicon=Lexicon(context.database)
        )


SERVICE = Service(
    inventory.COMPONENTS["search-service"],
    slices=("members", "posts", "tags", "suggest", "history"),
    run=run,
    query_packages=("chitlaq.services.search.departures", "chitlaq.services.search.texts"),
)
