"""The queries of operations, and access to its history from a command."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from chitlaq.core.data import postgres
from chitlaq.core.data.postgres import Database, Query
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings

QUERY_PACKAGES = ("chitlaq.ops.history", "chitlaq.ops.actions", "chitlaq.ops.schedule")


def queries(service: str) -> Mapping[str, Query]:
    """Return all queries that operations needs, as this service sends them."""
    return postgres.load_queries("chitlaq.core.data", service, *QUERY_PACKAGES)


@asynccontextmanager
async def open_database(home: Home, settings: Settings) -> AsyncIterator[Database]:
    """Open the history; the first query connects."""
    dsn = postgres.dsn(settings, home, "chitlaq_ops")
    opened = Database(dsn, "chitlaq-ops", queries("chitlaq"))
    try:
        yield opened
    finally:
        opened.terminate()
