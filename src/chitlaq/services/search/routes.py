"""search-service: its slices, and what they share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chitlaq import inventory
from chitlaq.core import tasks
from chitlaq.core.data import member_data
from chitlaq.core.data.jobs import Runner
from chitlaq.core.http.service import Context, HotPage, Service
from chitlaq.services.search.departures.departures import CONTRIBUTION
from chitlaq.services.search.history.history import History
from chitlaq.services.search.members import MAX_LETTERS, activity
from chitlaq.services.search.members.common import Common
from chitlaq.services.search.members.routes import users_json
from chitlaq.services.search.messages import indexing
from chitlaq.services.search.state import SearchState
from chitlaq.services.search.suggest.routes import HOT_SUGGESTIONS
from chitlaq.services.search.texts.forms import Lexicon


@asynccontextmanager
async def run(context: Context) -> AsyncIterator[SearchState]:
    history = History(context.database)
    common = Common(context.database)
    parts = member_data.handlers(context.database, CONTRIBUTION)
    async with (
        tasks.running(
            history.write_forever,
            common.read_forever,
            lambda: indexing.index_forever(context.database),
            context.standbys.watch_forever,
        ),
        Runner(context.database, *parts, activity.handler(context.database)).running(),
    ):
        yield SearchState(
            database=context.database,
            standbys=context.standbys,
            history=history,
            common=common,
            lexicon=Lexicon(context.database),
        )


SERVICE = Service(
    inventory.COMPONENTS["search-service"],
    writes=True,
    slices=("members", "posts", "messages", "tags", "suggest", "history"),
    run=run,
    hot_pages={
        "/search/users": HotPage(users_json, text="q", max_letters=MAX_LETTERS),
        "/search/suggest": HOT_SUGGESTIONS,
    },
    query_packages=("chitlaq.services.search.departures", "chitlaq.services.search.texts"),
)
