"""Its one route."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import get

from chitlaq.core.http.service import Context, Service
from chitlaq.inventory import Component
from tests.monitoring.known_load import FAILURES, SECONDS

_numbers = itertools.count()


@get("/shaped")
async def shaped() -> str:
    await asyncio.sleep(SECONDS)
    if next(_numbers) % 100 in FAILURES:
        raise RuntimeError("as it was asked for")
    return "well"


@asynccontextmanager
async def run(_context: Context) -> AsyncIterator[dict[str, Any]]:
    yield {}


SERVICE = Service(
    Component("shaped", "service", package=__package__ or "", role="chitlaq_ops"),
    run=run,
)
