"""search-service: its slices, and what they share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chitlaq import inventory
from chitlaq.core.http.service import Context, Service
from chitlaq.services.search.state import SearchState


@asynccontextmanager
async def run(context: Context) -> AsyncIterator[SearchState]:
    yield SearchState(database=context.database)


SERVICE = Service(inventory.COMPONENTS["search-service"], slices=("members",), run=run)
