"""What members feel while none is there: requests like theirs, through the edge, every ten seconds.

Writing is probed by the synthetic members' messages and posts (`round_trips`) and by each process's
heartbeat (`core.data.heartbeat`). The requests are not counted as members': `access.is_probe`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote
from uuid import UUID

import asyncpg
import msgspec
from prometheus_client.core import Metric

from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.host import http_client
from chitlaq.core.installation.settings import Settings
from chitlaq.logs.access import PROBE_AGENT
from chitlaq.monitoring.exporter.exported_metrics import metric
from chitlaq.monitoring.exporter.synthetic_requests import SyntheticRequests

PAUSE_SECONDS = 10.0
TIMEOUT_SECONDS = 5.0

PATHS = {
    "auth-service": "/api/auth/status",
    "feed-service": "/api/feed/home?page=1&limit=10",
    "search-service": "/api/search/users?page=1&limit=10&q=",
}
"""What each service is asked for; websocket has its own probe."""
NOBODY = "chitlaq"
"""Who is searched for as long as nobody can be found."""


@dataclass(frozen=True, slots=True)
class _Expected:
    """What has to be in the answers; nothing where it is not known, or there is none.

    Args:
        post: a post that everybody may read. There may be newer ones.
        username: of somebody whom everybody finds.
    """

    post: UUID | None = None
    username: str | None = None


class _Item(msgspec.Struct):
    id: UUID
    username: str = ""


class _Items(msgspec.Struct):
    items: Sequence[_Item]


class _Status(msgspec.Struct):
    authenticated: bool


class MemberProbes:
    """Asks, and keeps the last answers.

    Args:
        database: where what has to be in the answers is.
        requests: counts them for the objectives.
    """

    def __init__(self, settings: Settings, database: Database, requests: SyntheticRequests) -> None:
        self._settings = settings
        self._database = database
        self._requests = requests
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
        expected = await self._expected()
        seconds = {service: await self._ask(service, expected) for service in PATHS}
        for service, took in seconds.items():
            self._requests.count(service, took)
        answered = {service: took for service, took in seconds.items() if took is not None}
        self._last = [
            metric("probe_ok", {service: service in answered for service in PATHS}),
            metric("probe_seconds", answered),
        ]

    async def _expected(self) -> _Expected:
        try:
            post = await self._database.value("latest_public_posts", 1)
            return _Expected(post, await self._database.value("findable_username"))
        except (PostgresUnavailableError, asyncpg.PostgresError):
            # That has an alert of its own, and whoever needs PostgreSQL does not answer now.
            return _Expected()

    async def _ask(self, service: str, expected: _Expected) -> float | None:
        """Return how many seconds an answer took; None if it was none, or not the right one."""
        path = PATHS[service] + (
            quote(expected.username or NOBODY) if service == "search-service" else ""
        )
        started = time.perf_counter()
        try:
            answer = await http_client.get(
                f"http://127.0.0.1:{self._settings.port_of('nginx')}{path}",
                headers={"User-Agent": PROBE_AGENT},
                timeout_seconds=TIMEOUT_SECONDS,
            )
            seconds = time.perf_counter() - started
            is_right = answer.status == 200 and _is_right(service, answer.body, expected)
        except (http_client.NoAnswerError, msgspec.DecodeError):
            return None
        return seconds if is_right else None


def _is_right(service: str, body: bytes, expected: _Expected) -> bool:
    """Whether what has to be in an answer is there.

    Raises:
        msgspec.DecodeError: it is not the service's.
    """
    if service == "auth-service":
        # Nobody is signed in.
        return not msgspec.json.decode(body, type=_Status).authenticated
    items = msgspec.json.decode(body, type=_Items).items
    if service == "search-service":
        return expected.username is None or any(one.username == expected.username for one in items)
    # It may have been deleted meanwhile; that nothing is as new is an old answer, or an empty one.
    return expected.post is None or any(one.id >= expected.post for one in items)
