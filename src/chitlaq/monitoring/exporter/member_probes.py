"""What members feel while none is there: requests like theirs, through the edge, every ten seconds.

Writing is probed by the synthetic members' messages and posts (`round_trips`) and by each process's
heartbeat (`core.data.heartbeat`). The requests are not counted as members': `access.is_probe`.
"""

from __future__ import annotations

import asyncio
import time

import msgspec
from prometheus_client.core import Metric

from chitlaq.core.host import http_client
from chitlaq.core.installation.settings import Settings
from chitlaq.logs.access import PROBE_AGENT
from chitlaq.monitoring.exporter.exported_metrics import metric

PAUSE_SECONDS = 10.0
TIMEOUT_SECONDS = 5.0

PATHS = {
    "auth-service": "/api/auth/status",
    "feed-service": "/api/feed/home?page=1&limit=10",
    "search-service": "/api/search/users?q=chitlaq&page=1&limit=10",
}
"""What each service is asked for; websocket has its own probe."""
WANTED = {"auth-service": "authenticated", "feed-service": "items", "search-service": "items"}
"""What is in the answer."""


class MemberProbes:
    """Asks, and keeps the last answers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._last: list[Metric] = []

    async def measure_forever(self) -> None:
        """Measure until cancelled; not at all where nothing is scheduled."""
        while self._settings.operations.scheduled:
            await asyncio.sleep(PAUSE_SECONDS)
            await self.measure()

    async def metrics(self) -> list[Metric]:
        return self._last

    async def measure(self) -> None:
        """Ask each service once, one after the other: beside one another they would slow each other down."""
        seconds = {service: await self._ask(service) for service in PATHS}
        answered = {service: took for service, took in seconds.items() if took is not None}
        self._last = [
            metric("probe_ok", {service: service in answered for service in PATHS}),
            metric("probe_seconds", answered),
        ]

    async def _ask(self, service: str) -> float | None:
        """Return how many seconds an answer took; None if it was none, or not the right one."""
        started = time.perf_counter()
        try:
            answer = await http_client.get(
                f"http://127.0.0.1:{self._settings.port_of('nginx')}{PATHS[service]}",
                headers={"User-Agent": PROBE_AGENT},
                timeout_seconds=TIMEOUT_SECONDS,
            )
            body = msgspec.json.decode(answer.body, type=dict[str, object])
        except (http_client.NoAnswerError, msgspec.DecodeError, msgspec.ValidationError):
            return None
        if answer.status != 200 or WANTED[service] not in body:
            return None
        return time.perf_counter() - started
