"""Access to the history of operations from a command."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chitlaq.core.data import postgres
from chitlaq.core.data.postgres import Database
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings


@asynccontextmanager
async def open_database(home: Home, settings: Settings) -> AsyncIterator[Database]:
    """Open the history; the first query connects."""
    queries = {
        **postgres.load_queries("chitlaq.core.data", "chitlaq"),
        **postgres.load_queries("chitlaq.ops", "chitlaq"),
    }
    opened = Database(postgres.dsn(settings, home, "chitlaq_ops"), "chitlaq-ops", queries)
    try:
        yield opened
    finally:
        opened.terminate()
