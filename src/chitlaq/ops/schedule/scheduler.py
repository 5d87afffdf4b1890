"""The schedule of routines: at local times, exactly once, and also after downtime.

A routine is due once per local day (week, month), even when clocks change: a time that daylight saving
skips comes an hour later, and one that it repeats comes only the first time (PEP 495). After downtime,
the most recent missed run is caught up on, and no older one.
"""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from itertools import takewhile
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from chitlaq.core.data.postgres import Database
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import programs
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Operations
from chitlaq.core.telemetry import logs
from chitlaq.ops.actions import cleanup
from chitlaq.ops.database.database import (
    OpsDatabase,
    OpsDatabaseUnavailableError,
    Statement,
    statement,
)
from chitlaq.ops.history import run_history
from chitlaq.ops.lease.permission import ALONE, Permission, Turn
from chitlaq.ops.report import delivery, page

POLL_SECONDS = 5.0
RUN_SECONDS = 300.0
PRUNE_EVERY = timedelta(days=1)
# A claim that was not finished within this time was abandoned.
STALE = timedelta(seconds=600)
ATTEMPTS = 3
NICENESS = 10
SCHEDULER = "scheduler"

log = logs.get("schedule")

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Recurrence:
    """When a routine is due: every day, on a day of the week (Monday is 0), or on a day of the month."""

    routine: str
    at: time
    weekday: int | None = None
    day: int | None = None

    def is_due_on(self, date: datetime) -> bool:
        if self.weekday is not None:
            return date.weekday() == self.weekday
        return self.day is None or date.day == self.day


def parse(routine: str, text: str, section: str = "operations") -> Recurrence:
    """Parse ``09:00``, ``mon 10:00`` or ``1 10:30`` (the first of a month).

    Args:
        routine: the name of the setting.
        section: of the settings, for the error message.

    Raises:
        OperatorError: it is none of these.
    """
    found = re.fullmatch(
        r"(?:(?P<when>[a-z]{3}|\d{1,2}) )?(?P<at>\d{2}:\d{2})", text.strip().lower()
    )
    try:
        if found is None:
            raise ValueError
        at, when = time.fromisoformat(found["at"]), found["when"]
        if when is None:
            return Recurrence(routine, at)
        if when.isdecimal():
            # Every month has at least 28 days.
            if not 1 <= int(when) <= 28:
                raise ValueError
            return Recurrence(routine, at, day=int(when))
        return Recurrence(routine, at, weekday=_WEEKDAYS.index(when))
    except ValueError:
        raise OperatorError(
            f"{section}.{routine} is {text!r}: write 09:00, mon 10:00, or 1 10:30 (day 1 to 28)."
        ) from None


def recurrences(settings: Operations) -> list[Recurrence]:
    """Return when each routine is due.

    Raises:
        OperatorError: a setting cannot be parsed.
    """
    names = ("morning", "midday", "evening", "weekly", "monthly")
    return [parse(name, getattr(settings, name)) for name in names]


def zone(settings: Operations) -> ZoneInfo | None:
    """Return the time zone of the schedule; None means this machine's.

    Raises:
        OperatorError: there is no such time zone.
    """
    if not settings.timezone:
        return None
    try:
        return ZoneInfo(settings.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise OperatorError(
            f"operations.timezone is {settings.timezone!r}, which is not a time zone:"
            " write Europe/Vienna, or nothing for this machine's."
        ) from None


def last_due(recurrence: Recurrence, now: datetime, where: tzinfo | None) -> datetime:
    """Return the latest moment, not after now, at which a routine was due, in UTC."""
    return next(moment for moment in _backwards(recurrence, now, where) if moment <= now)


def next_due(recurrence: Recurrence, now: datetime, where: tzinfo | None) -> datetime:
    """Return the first moment after now at which a routine is due, in UTC."""
    # A month and a day: whatever recurs is due within it.
    moments = _backwards(recurrence, now + timedelta(days=32), where)
    return list(takewhile(lambda moment: moment > now, moments))[-1]


def _backwards(recurrence: Recurrence, now: datetime, where: tzinfo | None) -> Iterator[datetime]:
    # Start a day ahead, because a moment that daylight saving moves may belong to the day before.
    date = now.astimezone(where) + timedelta(days=1)
    while True:
        if recurrence.is_due_on(date):
            local = datetime.combine(date.date(), recurrence.at)
            # Without a time zone, `astimezone` assumes this machine's.
            aware = local.replace(tzinfo=where) if where is not None else local
            yield aware.astimezone(UTC)
        date -= timedelta(days=1)


class Scheduler:
    """Runs due routines, each in its own process, while ops-service runs.

    Args:
        home: the installation.
        settings: when routines are due, and how long their history is kept.
        database: has the claims and the history.
        mails: has the mail queue.
        run: runs a routine, and returns whether it finished.
        now: the time.
        lease: whether this process runs them, or another machine's.
    """

    def __init__(
        self,
        home: Home,
        settings: Operations,
        database: OpsDatabase,
        mails: Database,
        run: Callable[[Home, str], Awaitable[bool]] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        lease: Permission = ALONE,
    ) -> None:
        self._home = home
        self._settings = settings
        self._database = database
        self._mails = mails
        self._run = run or self._run_process
        self._now = now
        self._lease = lease
        self._pruned_at: datetime | None = None
        self._attempts: dict[str, _Attempts] = {}

    async def run_forever(self) -> None:
        """Run due routines forever; a failure of one is logged and does not affect the others."""
        while True:
            await self.tidy()
            if self._settings.scheduled:
                for recurrence in recurrences(self._settings):
                    await _isolated(recurrence.routine, self.run_if_due(recurrence))
            await asyncio.sleep(POLL_SECONDS)

    async def tidy(self) -> None:
        """Store what waits in memory, send reports that wait and, once a day, delete old records."""
        await _isolated("overflow", self._store_overflow())
        await _isolated("mails", delivery.send_waiting(self._database, self._mails))
        await _isolated("prune", self._prune())

    async def _store_overflow(self) -> None:
        if stored := await self._database.write_overflow():
            log.info("records stored that waited in memory", records=stored)

    async def _prune(self) -> None:
        now = self._now()
        if self._pruned_at is None or abs(now - self._pruned_at) > PRUNE_EVERY:
            before = await run_history.beginning(self._database, self._settings.history_days, now)
            await run_history.prune(self._database, before)
            cleanup.remove(cleanup.old_reports(self._home, before))
            self._pruned_at = now

    async def run_if_due(self, recurrence: Recurrence) -> bool:
        """Run a routine if it is due and has not run; return whether it was run here.

        A run that does not finish is tried again later, `ATTEMPTS` times in all.
        """
        routine, now = recurrence.routine, self._now()
        due = last_due(recurrence, now, zone(self._settings))
        attempt = await self._claim(routine, due, now)
        if not attempt:
            return False
        log.info("routine due", routine=routine, due_at=due, attempt=attempt)
        succeeded = await self._run(self._home, routine)
        if succeeded or attempt >= ATTEMPTS:
            self._attempts[routine].are_over = True
            await self._keep(statement("finish_run", routine, due, self._now(), attempt))
            await self._lease.end(routine, due)
        return succeeded

    async def _claim(self, routine: str, due: datetime, now: datetime) -> int:
        """Claim a run, and return which attempt it is; 0 if it is not to be run now.

        While the database cannot be written, this process remembers, so that a routine does not start
        again at every poll.
        """
        here = self._attempts.get(routine)
        if here is None or here.due != due:
            here = self._attempts[routine] = _Attempts(due)
        if here.are_over or (here.last_at is not None and abs(now - here.last_at) < STALE):
            return 0
        try:
            is_first = await self._database.write(statement("begin_schedule", routine, due, now))
            if is_first or await self._database.rows("finished_run", routine, due):
                here.are_over = True
                return 0
        except OpsDatabaseUnavailableError as error:
            log.warning("claim not written", routine=routine, error=str(error))
        if not await self._is_ours(here, routine, due, now):
            return 0
        try:
            rows = await self._database.rows(
                "claim_run", routine, due, now, now - STALE, now + STALE
            )
            if not rows:
                return 0
            here.count = rows[0]["attempts"]
        except OpsDatabaseUnavailableError as error:
            log.warning("claim not written", routine=routine, error=str(error))
            here.count += 1
        here.last_at = now
        return here.count

    async def _is_ours(self, here: _Attempts, routine: str, due: datetime, now: datetime) -> bool:
        """Whether this machine runs it; what another one has run is over here, too."""
        turn = await self._lease.begin(routine, due)
        if turn is Turn.DONE:
            here.are_over = True
            await self._keep(statement("finish_run", routine, due, now, 0))
        return turn is Turn.BEGUN

    async def _run_process(self, home: Home, routine: str) -> bool:
        return await run_process(home, routine, self._lease)

    async def _keep(self, done: Statement) -> None:
        try:
            await self._database.keep(done)
        except OSError as error:
            log.warning("claim not finished", error=str(error))


@dataclass(slots=True)
class _Attempts:
    """What this process knows of a due run."""

    due: datetime
    count: int = 0
    last_at: datetime | None = None
    are_over: bool = False


async def _isolated(what: str, work: Coroutine[object, object, object]) -> None:
    try:
        await work
    except OpsDatabaseUnavailableError as error:
        log.warning("the operations database is not available", what=what, error=str(error))
    except Exception as error:
        log.error("failed", what=what, fault=error)


async def run_process(home: Home, routine: str, lease: Permission = ALONE) -> bool:
    """Run a routine in its own process, so that a hang there does not block this one."""
    # The report runs its routine itself and sends the results.
    words = ["report", "--send"] if routine == page.ROUTINE else [routine]
    return await run_command(home, ["ops", *words], RUN_SECONDS, lease.variables(is_change=False))


async def run_command(
    home: Home, words: Sequence[str], seconds: float, variables: Mapping[str, str]
) -> bool:
    """Run ``chitlaq WORDS`` with low priority, and return whether it finished."""
    what = " ".join(words)
    try:
        result = await programs.arun(
            [sys.executable, "-m", "chitlaq", *words, "--as", SCHEDULER],
            timeout_seconds=seconds,
            variables={"CHITLAQ_HOME": str(home.root), **variables},
            niceness=NICENESS,
            # So that it can end the processes that it has started.
            death_signal=signal.SIGTERM,
        )
    except programs.ProgramTimeoutError:
        log.error("timed out", command=what, seconds=seconds)
        return False
    # 3 reports what it found; every other code is its own failure.
    if result.code not in {0, 3}:
        log.error("failed", command=what, code=result.code, error=result.stderr.strip()[-500:])
        return False
    log.info("finished", command=what, code=result.code)
    return True
