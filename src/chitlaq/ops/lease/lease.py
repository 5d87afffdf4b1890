"""The lease of operations: one row in PostgreSQL, which its holder renews.

A row with an expiry, and not an advisory lock: a session holds a lock, and the session of a machine that is
frozen or cut off lives on until TCP gives it up. Under Patroni the row is on the synchronous standby before
the holder knows that it holds, so a failover forgets no holder.

PostgreSQL's clock decides when the lease is over; the holder stops earlier by its own, which counts from
before it asked. A process that was frozen wakes with the time that has passed, and what it begins in
PostgreSQL names its epoch, which is over when another has taken the lease.

While PostgreSQL is away nobody holds it, and nobody changes anything. Telling people must not wait for that:
the last holder goes on, and the others begin when they have been blind for `BLIND_SECONDS`.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import msgspec

from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.errors import OperatorError
from chitlaq.core.host.alone import alone
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.ops.lease.permission import VARIABLE, Permission, Turn

LEASE_SECONDS = 15.0
RENEW_SECONDS = 3.0
ASK_SECONDS = 5.0
MARGIN_SECONDS = 1.0
"""So much earlier than PostgreSQL the holder lets it go: what it has just begun gets to its end."""
BLIND_SECONDS = 60.0
"""Longer than a failover of PostgreSQL takes, which is to wake nobody twice."""
FRESH_SECONDS = 2 * (RENEW_SECONDS + ASK_SECONDS)
"""That PostgreSQL is away is known for so long."""

UNAVAILABLE = (PostgresUnavailableError, asyncpg.PostgresError, OSError)

log = logs.get("lease")


class Holder(msgspec.Struct, frozen=True):
    """Who holds the lease.

    Args:
        holder: an installation, as `identity` names it.
        host: its machine.
        epoch: rises each time that another takes it.
        held_since: when this one took it.
    """

    holder: str
    host: str
    epoch: int
    held_since: datetime


def identity(home: Home, settings: Settings) -> str:
    """Return what tells an installation from all others; a process that is started again holds on."""
    return f"{socket.gethostname()} {settings.host} {home.root}"


def elapsed() -> float:
    """Return seconds that also pass while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease(Permission):
    """One process's part in it.

    Args:
        home: the installation.
        settings: whether this ops-service may hold it (``operations.takes_lease``).
        database: with the named queries of this package.
    """

    def __init__(self, home: Home, settings: Settings, database: Database) -> None:
        self._home = home
        self._database = database
        self._is_candidate = settings.operations.takes_lease
        # An embedded PostgreSQL is this machine's own.
        self.is_shared = bool(settings.database_url)
        """Whether other ops-services may take it."""
        self._identity = identity(home, settings)
        self._is_alone = False
        self._held_until = float("-inf")
        self._failed_at: float | None = None
        self._seen_at = elapsed()
        self._was_here = self._note.exists()
        self._taken_over_at: datetime | None = None
        self.holder: Holder | None = None
        """As PostgreSQL said when it was asked last; None if it never answered."""

    async def hold_forever(self) -> None:
        """Take the lease when it is free, and renew it; of several processes of one installation, one."""
        if not self._is_candidate:
            while True:
                await self._attempt()
                await asyncio.sleep(RENEW_SECONDS)
        async with alone(self._home.ops / "lease.lock"):
            self._is_alone = True
            try:
                while True:
                    await self._attempt()
                    await asyncio.sleep(RENEW_SECONDS)
            finally:
                self._is_alone = False

    @property
    def may_change(self) -> bool:
        return self._is_alone and elapsed() < self._held_until

    @property
    def may_alert(self) -> bool:
        return self.may_change or (
            self._is_alone and self._is_blind and (self._was_here or self._is_long_blind)
        )

    @property
    def taken_over_at(self) -> datetime | None:
        return self._taken_over_at

    @property
    def elsewhere(self) -> str:
        """The machine whose ops-service acts in place of this one; empty if none is known to."""
        if self.may_alert or self.holder is None or self.holder.holder == self._identity:
            return ""
        return "" if self._is_blind else self.holder.host

    def require_here(self) -> None:
        """Make sure that what an operator says here reaches whoever calls people.

        Raises:
            OperatorError: another machine's ops-service does.
        """
        if host := self.elsewhere:
            raise acts_elsewhere(host)

    def variables(self, *, is_change: bool) -> Mapping[str, str]:
        if not self.is_shared or self.holder is None:
            return {}
        return {VARIABLE: f"{self.holder.epoch} {'change' if is_change else 'look'}"}

    async def begin(self, what: str, due: datetime) -> Turn:
        holder = self.holder
        if self.may_change and holder is not None:
            try:
                row = await self._database.row(
                    "begin_turn", what, due, holder.host, self._identity, holder.epoch
                )
            except UNAVAILABLE as error:
                log.warning("turn not claimed", what=what, error=str(error))
            else:
                if row is None:
                    return Turn.NOT_OURS
                return Turn.DONE if row["is_done"] else Turn.BEGUN
        return Turn.BEGUN if self.may_alert else Turn.NOT_OURS

    async def end(self, what: str, due: datetime) -> None:
        if self.holder is None:
            return
        try:
            async with self._database.session() as session:
                await session.execute("end_turn", what, due, self._identity, self.holder.epoch)
        except UNAVAILABLE as error:
            log.warning("turn not ended", what=what, error=str(error))

    async def _attempt(self) -> None:
        """Ask PostgreSQL once."""
        asked_at = elapsed()
        try:
            async with asyncio.timeout(ASK_SECONDS), self._database.session() as session:
                row = None
                if self._is_candidate:
                    row = await session.row(
                        "hold_lease", self._identity, socket.gethostname(), LEASE_SECONDS
                    )
                is_here = row is not None
                row = row or await session.row("lease")
        except UNAVAILABLE as error:
            self._is_away(str(error) or type(error).__name__)
            return
        self._seen_at, self._failed_at = elapsed(), None
        if is_here:
            self._held_until = asked_at + LEASE_SECONDS - MARGIN_SECONDS
        if row is not None:
            self._learn(
                Holder(row["holder"], row["host"], row["epoch"], row["held_since"]), is_here
            )

    def _is_away(self, why: str) -> None:
        if self._failed_at is None:
            log.warning("the lease is not known: PostgreSQL does not answer", error=why)
        self._failed_at = elapsed()
        if not self._was_here and self._taken_over_at is None and self.may_alert:
            log.warning("nobody can say who holds the lease: alerting here, too")
            self._taken_over_at = datetime.now(UTC)

    def _learn(self, holder: Holder, is_here: bool) -> None:
        before, self.holder = self.holder, holder
        if not is_here:
            self._held_until, self._taken_over_at = float("-inf"), None
        elif not self._was_here and holder.epoch > 1 and self._taken_over_at is None:
            self._taken_over_at = datetime.now(UTC)
        if before is None or before.epoch != holder.epoch:
            log.info("lease", host=holder.host, epoch=holder.epoch, is_here=is_here)
        if is_here != self._was_here:
            self._was_here = is_here
            try:
                if is_here:
                    self._note.touch()
                else:
                    self._note.unlink(missing_ok=True)
            except OSError as error:
                log.warning("not noted who holds the lease", error=str(error))

    @property
    def _note(self) -> Path:
        """Exists while this installation is the last that is known to have held it."""
        return self._home.ops / "lease-held"

    @property
    def _is_blind(self) -> bool:
        """Whether PostgreSQL has not answered a moment ago: who has slept must ask first."""
        return self._failed_at is not None and elapsed() - self._failed_at < FRESH_SECONDS

    @property
    def _is_long_blind(self) -> bool:
        return elapsed() - self._seen_at > BLIND_SECONDS


def acts_elsewhere(host: str) -> OperatorError:
    return OperatorError(
        f"ops-service on {host} holds the lease: it calls people, and does not hear of what is done here. Do"
        " it there. `chitlaq ops lease` says who holds it."
    )
