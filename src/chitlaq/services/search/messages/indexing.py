"""Keep the index of messages behind what is sent: at once in calm hours, and never in the way of sending.

To index a message costs more than to store and deliver it, on the same cores. So while many are sent, the
index waits; at the latest after `LATEST_SECONDS` it goes on, with a small share of the time.
"""

from __future__ import annotations

import asyncio
from time import monotonic

import asyncpg

from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.telemetry import logs
from chitlaq.services.search.messages.metrics import INDEX_LAG

STEP = 1000
"""Messages of one transaction."""
PAUSE_SECONDS = 1.0
BUSY_PER_SECOND = 500.0
"""Messages that are sent; to index so many takes about a tenth of a core."""
LATEST_SECONDS = 10.0
"""So long the index waits while more are sent."""
CALM_SHARE = 0.25
BUSY_SHARE = 0.1
"""Of the time, in which a step runs; a step takes one core, and longer where others want it, too."""

log = logs.get("messages")


class Pace:
    """When the next step begins.

    Args:
        now: the time, in seconds.
    """

    def __init__(self, now: float) -> None:
        self._counted: int | None = None
        self._counted_at = now
        self._stepped_at = now
        self._is_busy = False

    def may_step(self, stored: int, now: float) -> bool:
        """Say whether to index now, when so many messages were ever stored."""
        seconds = now - self._counted_at
        before, self._counted, self._counted_at = self._counted, stored, now
        self._is_busy = before is not None and stored - before > BUSY_PER_SECOND * seconds
        return not self._is_busy or now - self._stepped_at >= LATEST_SECONDS

    def pause(self, began: float, now: float, *, is_behind: bool) -> float:
        """Return how long to rest after a step that began then, if more is waiting or not."""
        self._stepped_at = now
        share = BUSY_SHARE if self._is_busy else CALM_SHARE
        rest = (now - began) * (1 / share - 1)
        return rest if is_behind else max(rest, PAUSE_SECONDS)


async def index_forever(database: Database) -> None:
    """Index what was sent, every second; if there is more than a step, the next one soon."""
    pace = Pace(monotonic())
    # All that was sent until then is in the index, as far as this process knows.
    done_until = monotonic()
    while True:
        pause = PAUSE_SECONDS
        try:
            began = monotonic()
            if pace.may_step(await database.value("messages_stored"), began):
                step = await database.row("index_messages", STEP)
                # Otherwise another process is at it.
                if step is not None:
                    waiting = step["waiting_seconds"]
                    done_until = began if waiting is None else monotonic() - waiting
                    pause = pace.pause(began, monotonic(), is_behind=waiting is not None)
                    INDEX_LAG.set(monotonic() - done_until)
            else:
                INDEX_LAG.set(monotonic() - done_until)
        except PostgresUnavailableError as error:
            log.warning("messages wait for the database", error=str(error))
        except asyncpg.ForeignKeyViolationError as error:
            log.info("a conversation was deleted while it was indexed", error=str(error))
        await asyncio.sleep(pause)
