"""When backups are made by themselves: the day's work once a day, the archive as it comes.

What is done is remembered beside the installation and not in PostgreSQL: backups are of this machine,
and are wanted most where PostgreSQL is away. What was interrupted is begun again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from chitlaq.core.host import files
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.ops.schedule import scheduler
from chitlaq.stack.servers import barman

POLL_SECONDS = 20.0
# A start is busy enough without the first backup.
FIRST_AFTER_SECONDS = 60.0
AGAIN_AFTER_SECONDS = 900.0
DAY_SECONDS = 8 * 3600.0
ARCHIVE_SECONDS = 600.0
# How often what was written is sent elsewhere, though its segment is not full.
SEND_SECONDS = 300.0

log = logs.get("backup-scheduler")

Run = Callable[[Home, Sequence[str], float], Awaitable[bool]]


class BackupScheduler:
    """Runs ``chitlaq backup`` when it is due, for as long as ops-service serves."""

    def __init__(
        self,
        home: Home,
        settings: Settings,
        run: Run = scheduler.run_command,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._home = home
        self._settings = settings
        self._run = run
        self._now = now
        self._tried_at: datetime | None = None
        self._sent_at = monotonic()

    async def run_forever(self) -> None:
        if not self._settings.operations.scheduled:
            return
        await asyncio.sleep(FIRST_AFTER_SECONDS)
        # The day's work takes hours where there is much; the log does not wait for it.
        async with asyncio.TaskGroup() as tasks:
            for work in (self.keep_archive, self.make_up):
                tasks.create_task(_again_and_again(work))

    async def make_up(self) -> bool:
        """Do the day's work when it is due and was not done; returns whether it was done here.

        A new installation has its first backup at once.
        """
        settings = self._settings
        recurrence = scheduler.parse("at", settings.backups.at, "backups")
        now = self._now()
        due = scheduler.last_due(recurrence, now, scheduler.zone(settings.operations))
        if self._done_at() >= due:
            return False
        if (
            self._tried_at is not None
            and (now - self._tried_at).total_seconds() < AGAIN_AFTER_SECONDS
        ):
            return False
        self._tried_at = now
        log.info("backups are due", due_at=due)
        # What was done already is not done again when something else failed.
        words = ["backup", "run", "--daily", "--since", due.isoformat()]
        if not await self._run(self._home, words, DAY_SECONDS):
            return False
        self._done.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.write(self._done, now.isoformat())
        return True

    async def keep_archive(self) -> bool:
        """Archive and send elsewhere what was received; returns whether there was anything to do."""
        settings = self._settings
        if not barman.is_wanted(settings):
            return False
        is_to_send = bool(settings.backups.copy_to) and monotonic() - self._sent_at > SEND_SECONDS
        if not is_to_send and not barman.waiting(self._home, settings):
            return False
        if is_to_send:
            self._sent_at = monotonic()
        words = ["backup", "archive", *(["--send"] if is_to_send else [])]
        return await self._run(self._home, words, ARCHIVE_SECONDS)

    def _done_at(self) -> datetime:
        """When the day's work was last begun and came to its end; long ago where it never did."""
        try:
            return datetime.fromisoformat(self._done.read_text())
        except (FileNotFoundError, ValueError):
            return datetime.min.replace(tzinfo=UTC)

    @property
    def _done(self) -> Path:
        return self._home.backup / "daily-done"


async def _again_and_again(work: Callable[[], Awaitable[bool]]) -> None:
    while True:
        await work()
        await asyncio.sleep(POLL_SECONDS)
