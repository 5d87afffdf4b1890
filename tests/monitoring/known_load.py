"""``python -m tests.monitoring.known_load PORT``: a service whose answers have a known shape.

Made as every service is, so that what is measured of it is measured by the same code: each request
takes 120 ms, and three of a hundred fail.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

SECONDS = 0.12
FAILURES = {20, 50, 80}
"""Which of a hundred requests fail."""


def main(port: int) -> None:
    from chitlaq.core.http import server
    from chitlaq.core.installation import settings
    from chitlaq.core.installation.home import Home

    home = Home.from_environment()
    configured = settings.load(home)
    server.prepare("shaped", configured, home)
    import uvicorn
    from litestar import get

    from chitlaq.core.http import app
    from chitlaq.core.http.service import Context, Service
    from chitlaq.inventory import Component

    numbers = itertools.count()

    @get("/shaped")
    async def shaped() -> str:
        await asyncio.sleep(SECONDS)
        if next(numbers) % 100 in FAILURES:
            raise RuntimeError("as it was asked for")
        return "well"

    @asynccontextmanager
    async def run(_context: Context) -> AsyncIterator[dict[str, Any]]:
        yield {}

    row = Component("shaped", "service", package="chitlaq.ops", role="chitlaq_ops")
    service = Service(row, [shaped], run)
    uvicorn.run(app.create_app(service, configured, home), port=port, log_level="error")


if __name__ == "__main__":
    main(int(sys.argv[1]))
