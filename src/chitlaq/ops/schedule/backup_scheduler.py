"""The schedule of backups: daily backups once a day, WAL archiving continuously.

The time of the last success is in a file and not in PostgreSQL, because backups belong to this machine,
and matter most when PostgreSQL is unavailable. Interrupted backups are started again.

Of the machines that share an external PostgreSQL, the one that holds the lease of operations takes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

from chitlaq.core.host import files
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.ops.lease.permission import ALONE, Permission
from chitlaq.ops.schedule import scheduler
from chitlaq.stack.servers import barman

POLL_SECONDS = 20.0
# The first backup waits until startup is over.
FIRST_AFTER_SECONDS = 60.0
AGAIN_AFTER_SECONDS = 900.0
DAY_SECONDS = 8 * 3600.0
ARCHIVE_SECONDS = 600.0
CLOCK_TOLERANCE = timedelta(hours=1)
# How often WAL is copied off-site even if its segment is not full.
SEND_SECONDS = 300.0

log = logs.get("backup-scheduler")

Run = Callable[[Home, Sequence[str], float, Mapping[str, str]], Awaitable[bool]]


class BackupScheduler:
    """Runs ``chitlaq backup`` when it is due, while ops-service runs."""

    def __init__(
        self,
        home: Home,
        settings: Settings,
        run: Run = scheduler.run_command,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        lease: Permission = ALONE,
    ) -> None:
        self._home = home
        self._settings = settings
        self._run = run
        self._now = now
        self._lease = lease
        self._tried_at: datetime | None = None
        self._sent_at = monotonic()

    async def run_forever(self) -> None:
        if not self._settings.operations.scheduled:
            return
        await asyncio.sleep(FIRST_AFTER_SECONDS)
        # Daily backups of a large database take hours; WAL archiving does not wait for them.
        async with asyncio.TaskGroup() as tasks:
            for work in (self.archive_wal, self.run_if_due):
                tasks.create_task(_repeat(work))

    async def run_if_due(self) -> bool:
        """Run the daily backups if they are due, and return whether they were run.

        A new installation has its first backup at once.
        """
        if self._settings.database_url and not self._lease.may_change:
            return False
        settings = self._settings
        recurrence = scheduler.parse("at", settings.backups.at, "backups")
        now = self._now()
        due = scheduler.last_due(recurrence, now, scheduler.zone(settings.operations))
        # What was done after now was done by a clock that has been set back since.
        if due <= self._done_at() < now + CLOCK_TOLERANCE:
            return False
        if (
            self._tried_at is not None
            and abs((now - self._tried_at).total_seconds()) < AGAIN_AFTER_SECONDS
        ):
            return False
        self._tried_at = now
        log.info("backups due", due_at=due)
        # `--since` skips the steps that succeeded before another one failed.
        words = ["backup", "run", "--daily", "--since", due.isoformat()]
        variables = self._lease.variables(is_change=True)
        if not await self._run(self._home, words, DAY_SECONDS, variables):
            return False
        self._done.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.write(self._done, now.isoformat())
        return True

    async def archive_wal(self) -> bool:
        """Archive received WAL and copy it off-site, and return whether there was anything to do."""
        settings = self._settings
        if not barman.is_wanted(settings):
            return False
        is_to_send = bool(settings.backups.copy_to) and monotonic() - self._sent_at > SEND_SECONDS
        if not is_to_send and not barman.waiting(self._home, settings):
            return False
        if is_to_send:
            self._sent_at = monotonic()
        words = ["backup", "archive", *(["--send"] if is_to_send else [])]
        return await self._run(self._home, words, ARCHIVE_SECONDS, {})

    def _done_at(self) -> datetime:
        """Return when the last successful daily backups began; the distant past if there were none."""
        try:
            return datetime.fromisoformat(self._done.read_text())
        except (FileNotFoundError, ValueError):
            return datetime.min.replace(tzinfo=UTC)

    @property
    def _done(self) -> Path:
        return self._home.backup / "daily-done"


async def _repeat(work: Callable[[], Awaitable[bool]]) -> None:
    while True:
        await work()
        await asyncio.sleep(POLL_SECONDS)
