"""The schedule of routines: at local times, exactly once, and also after downtime.

A routine is due once per local day (week, month), even when clocks change: a time that daylight saving
skips comes an hour later, and one that it repeats comes only the first time (PEP 495). After downtime,
the most recent missed run is caught up on, and no older one.
"""

from __future__ import annotations

import asyncio
import math
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from pathlib import Path
from time import monotonic
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import programs
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Operations
from chitlaq.core.telemetry import logs
from chitlaq.ops.actions import cleanup, record
from chitlaq.ops.history import run_history
from chitlaq.ops.report import delivery, page

POLL_SECONDS = 5.0
RUN_SECONDS = 300.0
PRUNE_EVERY = timedelta(days=1)
# A claim that was not finished within this time was abandoned; as in `claim_run`.
STALE_SECONDS = 600.0
ATTEMPTS = 3
KEPT_CLAIMS = 10
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


def zone(settings: Operations) -> tzinfo | None:
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
    """Runs due routines, each in its own process, while ops-service runs."""

    def __init__(
        self,
        home: Home,
        settings: Operations,
        database: Database,
        run: Callable[[Home, str], Awaitable[bool]] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._home = home
        self._settings = settings
        self._database = database
        self._run = run or run_process
        self._now = now
        self._pruned_at: datetime | None = None
        self._known: dict[Path, Claim] = {}

    async def run_forever(self) -> None:
        """Run due routines forever; a failure of one is logged and does not affect the others."""
        while True:
            await _isolated("tidy", self.tidy())
            if self._settings.scheduled:
                for recurrence in recurrences(self._settings):
                    await _isolated(recurrence.routine, self.run_if_due(recurrence))
            await asyncio.sleep(POLL_SECONDS)

    async def tidy(self) -> None:
        """Store records from the spool and, once a day, delete old ones."""
        try:
            stored = await run_history.store_queued(self._database, self._home)
            stored += await record.store_queued(self._database, self._home)
            stored += await delivery.send_queued(self._database, self._home)
            if stored:
                log.info("queued records stored", records=stored)
            now = self._now()
            if self._pruned_at is None or now - self._pruned_at > PRUNE_EVERY:
                await run_history.prune(self._database, self._settings.history_days)
                cleanup.remove(cleanup.old_reports(self._home, self._settings.history_days, now))
                self._pruned_at = now
        except PostgresUnavailableError as error:
            log.warning("history not stored: PostgreSQL is unavailable", error=str(error))

    async def run_if_due(self, recurrence: Recurrence) -> bool:
        """Run a routine if it is due and no other process has run it; return whether it was run here.

        A run that does not finish is tried again later, `ATTEMPTS` times in all.
        """
        due = last_due(recurrence, self._now(), zone(self._settings))
        claim = self._claim_of(recurrence.routine, due)
        if not await self._claim(claim, recurrence.routine, due):
            return False
        attempt = claim.begin()
        log.info("routine due", routine=recurrence.routine, due_at=due, attempt=attempt)
        succeeded = await self._run(self._home, recurrence.routine)
        if not succeeded and attempt < ATTEMPTS:
            return False
        claim.end()
        try:
            async with self._database.transaction() as session:
                await session.execute("finish_run", recurrence.routine, due)
        except PostgresUnavailableError as error:
            log.warning("claim not finished: PostgreSQL is unavailable", error=str(error))
        return succeeded

    async def _claim(self, claim: Claim, routine: str, due: datetime) -> bool:
        """Claim a run: on this machine with a file, among several machines with a row in PostgreSQL.

        The file also works while PostgreSQL is unavailable, which is when a routine matters most.
        """
        if claim.is_ended or claim.age_seconds < STALE_SECONDS:
            return False
        is_first = not any(self._claims.glob(f"{routine}-*"))
        try:
            async with self._database.transaction() as session:
                if is_first and not await session.value("has_schedule", routine):
                    # A new installation does not catch up on the time before it.
                    await session.execute("finish_run", routine, due)
                    is_ours, is_over = False, True
                else:
                    is_ours = bool(await session.value("claim_run", routine, due))
                    is_over = bool(await session.value("is_run_finished", routine, due))
        except PostgresUnavailableError:
            is_ours, is_over = not is_first, False
        if is_over:
            claim.end()
        return is_ours

    def _claim_of(self, routine: str, due: datetime) -> Claim:
        path = self._claims / f"{routine}-{due:%Y%m%dT%H%M}"
        if path not in self._known:
            for old in sorted(self._claims.glob(f"{routine}-*"))[:-KEPT_CLAIMS]:
                old.unlink(missing_ok=True)
            self._known = {
                known: claim
                for known, claim in self._known.items()
                if not known.name.startswith(f"{routine}-")
            }
            self._known[path] = Claim(path)
        return self._known[path]

    @property
    def _claims(self) -> Path:
        return self._home.ops / "claims"


class Claim:
    """This machine's attempts at a due run: in a file with one byte per attempt, and in memory.

    The copy in memory is for a full disk; without it, a routine would start again at every poll.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._attempts = 0
        self._begun_at = -math.inf
        self._is_ended = False

    @property
    def is_ended(self) -> bool:
        return self._is_ended or self._path.with_suffix(".done").exists()

    @property
    def age_seconds(self) -> float:
        """Seconds since the last attempt began; infinite if there was none."""
        try:
            state = self._path.stat()
        except OSError:
            return monotonic() - self._begun_at
        return min(datetime.now(UTC).timestamp() - state.st_mtime, monotonic() - self._begun_at)

    def begin(self) -> int:
        """Record that an attempt begins, and return its number."""
        self._attempts, self._begun_at = self._attempts + 1, monotonic()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a") as file:
                file.write("x")
            self._attempts = max(self._attempts, self._path.stat().st_size)
        except OSError as error:
            log.warning("claim not written", path=str(self._path), error=str(error))
        return self._attempts

    def end(self) -> None:
        """Record that this run needs no further attempt."""
        self._is_ended = True
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.with_suffix(".done").touch()


async def _isolated(what: str, work: Coroutine[object, object, object]) -> None:
    try:
        await work
    except Exception as error:
        log.error("failed", what=what, fault=error)


async def run_process(home: Home, routine: str) -> bool:
    """Run a routine in its own process, so that a hang there does not block this one."""
    # The report runs its routine itself and sends the results.
    words = ["report", "--send"] if routine == page.ROUTINE else [routine]
    return await run_command(home, ["ops", *words], RUN_SECONDS)


async def run_command(home: Home, words: Sequence[str], seconds: float) -> bool:
    """Run ``chitlaq WORDS`` with low priority, and return whether it finished."""
    what = " ".join(words)
    try:
        result = await programs.arun(
            [sys.executable, "-m", "chitlaq", *words, "--as", SCHEDULER],
            timeout_seconds=seconds,
            variables={"CHITLAQ_HOME": str(home.root)},
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
