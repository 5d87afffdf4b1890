"""Send the pages that are due: each claimed before it is sent and ended after it, so that none is lost.

A page that a dead process had claimed may have been sent; it is sent again and says so. Only one process
sends at a time: it holds a lock that the kernel releases when it dies, and of several machines the one with
the lease of operations sends.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from time import monotonic
from uuid import UUID, uuid5

from chitlaq.core.errors import OperatorError
from chitlaq.core.host.alone import alone
from chitlaq.core.installation import settings_loading
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.ops.database.database import (
    OpsDatabase,
    OpsDatabaseUnavailableError,
    Transaction,
)
from chitlaq.ops.escalation import messages, pages, planning
from chitlaq.ops.escalation.clock import Clock, SystemClock
from chitlaq.ops.escalation.last_resort import LastResort
from chitlaq.ops.escalation.messages import PagedIncident
from chitlaq.ops.escalation.pages import moment_of
from chitlaq.ops.escalation.planning import Plan
from chitlaq.ops.lease.permission import ALONE, Permission
from chitlaq.ops.oncall import channels, current, deliveries
from chitlaq.ops.oncall.current import Current
from chitlaq.ops.oncall.roster import Channel, Roster

WATCH_SECONDS = 0.5
"""How often the database's file is looked at: commands change incidents in other processes."""
LONGEST_WAIT_SECONDS = 10.0
STOP_SECONDS = 5.0
# One person gets so many messages by one channel within the time; more are gathered into one each pause.
BURST = 5
BURST_WITHIN = timedelta(minutes=10)
GATHERED_FOR = timedelta(minutes=2)

_PAGE_IDS = UUID("0b5cf3b0-6f0f-4a53-9d8e-4f5b7c1f9c11")

log = logs.get("escalation")


class Engine:
    """One installation's escalation.

    Args:
        home: has the roster and the database.
        settings: the mail server, the recipients of reports, the console's port.
        database: the operations database.
        changed: set when incidents change in this process: it looks at once, and clears it.
        clock: the machine's, or one that a test sets.
        lease: whether this machine sends.
    """

    def __init__(
        self,
        home: Home,
        settings: Settings,
        database: OpsDatabase,
        changed: asyncio.Event,
        clock: Clock | None = None,
        lease: Permission = ALONE,
    ) -> None:
        self.send_seconds = channels.SEND_SECONDS
        self._home = home
        self._settings = settings
        self._database = database
        self._changed = changed
        self._clock = clock or SystemClock()
        self._lease = lease
        self._known: tuple[object, Current] | None = None
        # Each service of Apprise takes 60 MB while it lasts.
        self._slots = asyncio.Semaphore(deliveries.AT_ONCE)
        self._sending: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._last_resort = LastResort(home, settings)
        self._unwritten: set[tuple[int, int, int]] = set()
        """Pages that were sent while the database could not be written."""

    async def run_forever(self) -> None:
        """Send what is due, until cancelled."""
        async with alone(self._home.ops / "escalation.lock"):
            try:
                await self._give_back()
                while True:
                    seen = self._signature()
                    seconds = await self._attempt()
                    await self._wait(seconds, seen)
            finally:
                if self._sending:
                    await asyncio.wait(self._sending.values(), timeout=STOP_SECONDS)
                for task in self._sending.values():
                    task.cancel()

    async def tick(self) -> float:
        """Send what is due, and return in how many seconds to look again.

        Raises:
            OpsDatabaseUnavailableError: the clocks cannot be read or moved.
        """
        found = self._current()
        plan = await self._database.transact(
            partial(
                planning.advance,
                current=found,
                clock=self._clock,
                recent_within=BURST_WITHIN,
                not_before=self._lease.taken_over_at,
            )
        )
        looks = [plan.next_at] if plan.next_at is not None else []
        for place, planned in _by_channel(plan.waiting).items():
            due = [
                page
                for page in planned
                if moment_of(page["due_at"]) <= plan.now and pages.key(page) not in self._unwritten
            ]
            looks += [
                moment_of(page["due_at"])
                for page in planned
                if moment_of(page["due_at"]) > plan.now
            ]
            if not due or place in self._sending:
                continue
            if (held_until := _held_until(place, plan)) > plan.now:
                looks.append(held_until)
                continue
            task = asyncio.create_task(self._send(found.roster, place, due))
            self._sending[place] = task
            task.add_done_callback(partial(self._sent, place))
        next_at = min(looks, default=None)
        if next_at is None:
            return LONGEST_WAIT_SECONDS
        return min(LONGEST_WAIT_SECONDS, max(0.0, (next_at - plan.now).total_seconds()))

    @property
    def is_sending(self) -> bool:
        return bool(self._sending)

    async def idle(self) -> None:
        """Wait until nothing is being sent."""
        while self._sending:
            await asyncio.wait(self._sending.values())
            await asyncio.sleep(0)

    def _sent(self, place: tuple[str, str], task: asyncio.Task[None]) -> None:
        self._sending.pop(place, None)
        self._changed.set()
        if not task.cancelled() and (fault := task.exception()) is not None:
            log.error("page not sent", person=place[0], channel=place[1], fault=fault)

    def _current(self) -> Current:
        """Return the roster in effect, read again when its file has changed."""
        seen = _state_of(self._home.oncall_file)
        if self._known is None or self._known[0] != seen:
            found = current.read(self._home, self._settings.operations, is_keeper=True)
            logs.hide(settings_loading.secrets_of(self._home, self._settings))
            if found.fault:
                log.error("roster is not valid", said=found.fault)
            self._known = seen, found
        return self._known[1]

    async def _attempt(self) -> float:
        if not self._lease.may_alert:
            return WATCH_SECONDS
        try:
            seconds = await self.tick()
        except OpsDatabaseUnavailableError as error:
            log.error("escalation is blind", error=str(error))
            await self._last_resort.look(self._current().roster, str(error))
            return WATCH_SECONDS
        is_whole = await self._last_resort.look(self._current().roster)
        return seconds if is_whole else WATCH_SECONDS

    async def _wait(self, seconds: float, seen: object) -> None:
        """Wait until something is due, or has changed since."""
        until = monotonic() + seconds
        while (left := until - monotonic()) > 0 and self._signature() == seen:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, WATCH_SECONDS)):
                    await self._changed.wait()
                break
        self._changed.clear()

    def _signature(self) -> object:
        """What changes when an incident does, the roster, or the clock."""
        database = self._home.ops_database
        return (
            _state_of(database.with_name(f"{database.name}-wal")),
            _state_of(self._home.oncall_file),
            # To a second: it drifts.
            round(self._clock.wall().timestamp() - self._clock.elapsed()),
        )

    async def _give_back(self) -> None:
        """Send again what a process that died was sending."""

        def given_back(transaction: Transaction) -> None:
            for page in transaction.rows("abandoned_pages"):
                log.warning("page may be sent twice", incident=page["incident_id"])
                text = f"{pages.words(page)}: may have been sent twice: ops-service stopped while sending"
                transaction.write(pages.line(page, text, key="repeated"))

        while True:
            try:
                return await self._database.transact(given_back)
            except OpsDatabaseUnavailableError as error:
                await self._last_resort.look(self._current().roster, str(error))
                await asyncio.sleep(WATCH_SECONDS)

    async def _send(
        self, roster: Roster, place: tuple[str, str], planned: Sequence[sqlite3.Row]
    ) -> None:
        """Send one message for all pages that are due to one person by one channel."""
        if not self._lease.may_alert:
            return
        try:
            claimed = await self._database.transact(partial(self._claim, roster, planned))
        except OpsDatabaseUnavailableError as error:
            log.error("pages are sent without a claim", error=str(error))
            claimed = await self._without_claim(roster, planned)
        if not claimed:
            return
        rows = [row for row, _ in claimed]
        subject, text = messages.page(
            [incident for _, incident in claimed], self._clock.wall(), self._console, self._home
        )
        person = roster.people.get(place[0])
        channel = person.channel(place[1]) if person is not None else None
        try:
            said, is_sent = await self._pass_on(channel, rows[0], subject, text), True
        except OperatorError as error:
            said, is_sent = str(error), False
        await self._end(roster, rows, said, is_sent=is_sent)

    async def _without_claim(
        self, roster: Roster, planned: Sequence[sqlite3.Row]
    ) -> list[tuple[sqlite3.Row, PagedIncident]]:
        """Return the pages that this process has not sent yet: a full disk must silence nobody."""
        found = []
        since, now = self._clock.wall() - planning.FLAPPING_WITHIN, self._clock.wall()
        for page in planned:
            if pages.key(page) in self._unwritten:
                continue
            number = page["incident_id"]
            (incident,) = await self._database.rows("paged_incident", number)
            (clock,) = await self._database.rows("clock_of_page", number, since, now)
            found.append((page, pages.paged(roster, page, incident, clock)))
        # When nothing can fail any more: what is here is not sent again.
        self._unwritten.update(pages.key(page) for page, _ in found)
        return found

    async def _pass_on(
        self, channel: Channel | None, page: sqlite3.Row, subject: str, text: str
    ) -> str:
        if channel is None:
            raise OperatorError("oncall.toml no longer has this channel")
        name = "{incident_id}:{run}:{step}".format(**dict(page))
        async with nullcontext() if channel.is_mail else self._slots:
            return await channels.send(
                channel,
                self._settings.smtp,
                subject,
                text,
                timeout_seconds=self.send_seconds,
                message_id=uuid5(_PAGE_IDS, name),
            )

    def _claim(
        self, roster: Roster, planned: Sequence[sqlite3.Row], transaction: Transaction
    ) -> list[tuple[sqlite3.Row, PagedIncident]]:
        """Claim the pages that still wait, and return them with what to say."""
        now = self._clock.wall()
        found = []
        for page in planned:
            rows = transaction.rows("claim_page", *pages.key(page), now)
            if rows:
                transaction.write(pages.line(page, f"{pages.words(page)}: being sent"))
                (incident,) = transaction.rows("paged_incident", page["incident_id"])
                since = now - planning.FLAPPING_WITHIN
                (clock,) = transaction.rows("clock_of_page", page["incident_id"], since, now)
                found.append((rows[0], pages.paged(roster, rows[0], incident, clock)))
        return found

    async def _end(
        self, roster: Roster, planned: Sequence[sqlite3.Row], said: str, *, is_sent: bool
    ) -> None:
        """Note how it went; where it failed, the next channel is due at once."""
        now = self._clock.wall()
        if not is_sent:
            log.error(
                "page failed", person=planned[0]["person"], channel=planned[0]["channel"], said=said
            )

        def ended(transaction: Transaction) -> None:
            for page in planned:
                transaction.write(*pages.ends(page, said, now, is_sent=is_sent))
                if not is_sent:
                    pages.hurry(transaction, roster, page, said, now)

        try:
            await self._database.transact(ended)
        except OpsDatabaseUnavailableError:
            for page in planned:
                await self._database.keep(*pages.ends(page, said, now, is_sent=is_sent))

    @property
    def _console(self) -> str:
        return self._settings.console_url


def _state_of(path: Path) -> object:
    with suppress(OSError):
        state = path.stat()
        return state.st_mtime_ns, state.st_size, state.st_ino
    return None


def _by_channel(planned: Sequence[sqlite3.Row]) -> dict[tuple[str, str], list[sqlite3.Row]]:
    found: dict[tuple[str, str], list[sqlite3.Row]] = {}
    for page in planned:
        found.setdefault((page["person"], page["channel"]), []).append(page)
    return found


def _held_until(place: tuple[str, str], plan: Plan) -> datetime:
    """Return from when on a channel may be used, after many messages within a short time."""
    for row in plan.recent:
        if (row["person"], row["channel"]) == place and row["messages"] >= BURST:
            return moment_of(row["last"]) + GATHERED_FOR
    return plan.now
