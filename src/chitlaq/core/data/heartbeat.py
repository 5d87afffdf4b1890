"""Whether a process can do its work: an answer of PostgreSQL to ``SELECT 1`` does not say so.

Every ten seconds, and when somebody asks, a process takes the locks that its work takes, writes a row,
commits it, and lets PostgreSQL write a temporary file, which a full disk refuses. What it finds is in
``/health``, in ``/live`` (so `chitlaq ps` shows it) and in a metric, on which an alert stands.
"""

from __future__ import annotations

import asyncio
import os
from time import monotonic

import asyncpg

from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.telemetry import logs, metrics

PERIOD_SECONDS = 10.0
AGAIN_SECONDS = 1.0
"""The period while the last beat failed."""
FRESH_SECONDS = 2.0
"""Who asks more often is told the last result."""
LATE_SECONDS = 25.0
LOCK_SECONDS = 0.5

# Every table that this role may write: what is new is looked at, too. What is locked is named. 0.8 ms for 28.
_LOCKS = """
DO $$
DECLARE written text;
BEGIN
    FOR written IN
        SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^(pg_|information_schema)'
          AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE')
        ORDER BY c.oid
    LOOP
        EXECUTE 'LOCK TABLE ' || written || ' IN ROW EXCLUSIVE MODE';
    END LOOP;
EXCEPTION WHEN lock_not_available THEN
    RAISE lock_not_available USING MESSAGE = written || ' is locked by others';
END $$
"""
# 144 kB, more than work_mem, so that they go to a file; 0.3 ms. Before the row, whose lock it would hold.
_SPILL = (
    "SET LOCAL work_mem = '64kB'; WITH f AS MATERIALIZED"
    " (SELECT repeat(md5(n::text), 60) AS text FROM generate_series(1, 80) n) SELECT count(text) FROM f"
)
_BEAT = (
    "INSERT INTO health.heartbeats (role, process) VALUES (current_user, {process})"
    " ON CONFLICT (role, process) DO UPDATE SET at = excluded.at;"
    # Of processes that are gone.
    " DELETE FROM health.heartbeats WHERE at < now() - interval '1 hour'"
)

log = logs.get("heartbeat")


class Heartbeat:
    """One process's.

    Args:
        database: its pool.
        service: its name, for the metric.
        is_wanted: whether its work is to write to PostgreSQL.
    """

    def __init__(self, database: Database, service: str, *, is_wanted: bool) -> None:
        self._database = database
        self.is_wanted = is_wanted
        self._beating: asyncio.Task[None] | None = None
        self._ended_at = float("-inf")
        self._last_good = monotonic()
        self._gauge = metrics.SERVICE_PROCESSES_UNABLE.labels(service)
        self._gauge.set(0)
        self.fault = ""
        """Why the work could not be done at the last beat; empty if it could."""

    async def beat_forever(self) -> None:
        while self.is_wanted:
            await asyncio.wait({self._beat()})
            await asyncio.sleep(AGAIN_SECONDS if self.fault else PERIOD_SECONDS)

    async def ask(self, seconds: float) -> str:
        """Return why the work cannot be done now, waiting no longer than that; empty if it can.

        While the last beat failed, another one is never far.
        """
        if not self.fault and monotonic() - self._ended_at > FRESH_SECONDS:
            done, _ = await asyncio.wait({self._beat()}, timeout=seconds)
            since = monotonic() - self._last_good
            if not done and since > LATE_SECONDS:
                return f"has not written for {since:.0f} s"
        return self.fault

    def close(self) -> None:
        if self._beating is not None:
            self._beating.cancel()

    def _beat(self) -> asyncio.Task[None]:
        if self._beating is None or self._beating.done():
            self._beating = asyncio.create_task(self._try())
        return self._beating

    async def _try(self) -> None:
        before, self.fault = self.fault, await self._work()
        self._ended_at = monotonic()
        if not self.fault:
            self._last_good = self._ended_at
        self._gauge.set(bool(self.fault))
        if self.fault != before:
            log.warning("cannot work" if self.fault else "can work again", reason=self.fault)

    async def _work(self) -> str:
        try:
            async with self._database.transaction() as session:
                await session.script(
                    f"SET LOCAL lock_timeout = {LOCK_SECONDS * 1000:.0f}; {_LOCKS}; {_SPILL};"
                    f" {_BEAT.format(process=os.getpid())}"
                )
        except asyncpg.LockNotAvailableError as error:
            return f"{error} for more than {LOCK_SECONDS:g} s"
        except (PostgresUnavailableError, asyncpg.PostgresError) as error:
            return str(error) or type(error).__name__
        return ""
