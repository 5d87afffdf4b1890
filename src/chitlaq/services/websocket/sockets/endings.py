"""Sessions that ended: their sockets are closed within seconds, and none is opened for them again.

PostgreSQL is asked each second for what ended lately: one indexed read, which works while Valkey is down, and
to which nothing that was published can get lost.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.telemetry import logs
from chitlaq.services.websocket.sockets.hub import Hub

PAUSE_SECONDS = 1.0
# A session's end may be committed so much later than its time says, or a clock be wrong by so much.
OVERLAP = timedelta(seconds=30)

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
        self._kept = timedelta(seconds=access_seconds) + OVERLAP
        self._since = datetime.now(UTC) - self._kept

    async def watch_forever(self) -> None:
        """Close the sockets of sessions that end, while the process runs."""
        while True:
            began = datetime.now(UTC)
            try:
                rows = await self._database.rows("ended_sessions", self._since)
            except PostgresUnavailableError as error:
                log.warning("ends of sessions are not seen", error=str(error))
            else:
                self._since = began - OVERLAP
                self._hub.end_sessions({row["id"]: row["ended_at"] for row in rows})
                self._hub.forget_ended(began - self._kept)
            await asyncio.sleep(PAUSE_SECONDS)
