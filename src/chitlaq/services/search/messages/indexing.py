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

STEP = 300
"""Messages of one transaction, which keeps a core for 40 ms; of fewer, each costs more."""
PAUSE_SECONDS = 1.0
BUSY_PER_SECOND = 1000.0
"""Messages that are sent; to index so many takes about an eighth of a core."""
CALM_AFTER_SECONDS = 5.0
"""PostgreSQL says up to a second late how many were sent, and who sent many may go on."""
LATEST_SECONDS = 10.0
"""So long the index waits while more are sent."""
CALM_SHARE = 0.25
BUSY_SHARE = 0.05
"""Of the time, in which a step runs; longer where others want the core, too. So at most one message in
twenty, of those that are sent meanwhile, meets a step."""

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
        self._busy_until = now

    def may_step(self, stored: int, now: float) -> bool:
        """Say whether to index now, when so many messages were ever stored."""
        seconds = now - self._counted_at
        before, self._counted, self._counted_at = self._counted, stored, now
        if before is not None and stored - before > BUSY_PER_SECOND * seconds:
            self._busy_until = now + CALM_AFTER_SECONDS
        return now >= self._busy_until or now - self._stepped_at >= LATEST_SECONDS

    def pause(self, began: float, now: float, *, is_behind: bool) -> float:
        """Return how long to rest after a step that began then, if more is waiting or not."""
        self._stepped_at = now
        share = BUSY_SHARE if began < self._busy_until else CALM_SHARE
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
