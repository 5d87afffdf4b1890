"""Sessions that ended: their sockets are closed within seconds, and none is opened for them again.

PostgreSQL is asked each second for what ended lately: one indexed read, which works while Valkey is down, and
to which nothing that was published can get lost.
"""

from __future__ import annotations

import asyncio
import time

from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.telemetry import logs
from chitlaq.services.websocket.sockets.hub import Hub

PAUSE_SECONDS = 1.0
# A session's end may be committed so much later than its time says.
OVERLAP_SECONDS = 30.0

log = logs.get("socket")


class Endings:
    """Watches for sessions that end.

    Args:
        database: with the view of ended sessions.
        hub: the sockets.
        access_seconds: how long an access token lasts: so long somebody may come with one.
    """

    def __init__(self, database: Database, hub: Hub, access_seconds: int) -> None:
        self._database = database
        self._hub = hub
        self._kept_seconds = access_seconds + OVERLAP_SECONDS

    async def watch_forever(self) -> None:
        """Close the sockets of sessions that end, while the process runs."""
        seen_at = time.monotonic() - self._kept_seconds
        while True:
            began = time.monotonic()
            try:
                rows = await self._database.rows(
                    "ended_sessions", began - seen_at + OVERLAP_SECONDS
                )
            except PostgresUnavailableError as error:
                log.warning("ends of sessions are not seen", error=str(error))
            else:
                seen_at = began
                self._hub.end_sessions({row["id"] for row in rows})
                self._hub.forget_ended(self._kept_seconds)
            await asyncio.sleep(PAUSE_SECONDS)
