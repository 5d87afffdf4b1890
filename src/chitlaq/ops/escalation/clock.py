"""The time by which deadlines are kept: a clock that is set must neither fire everything nor silence it.

Deadlines are stored by the wall clock, because they outlive the process. How much time really passes says
the clock that counts from the machine's start, sleep included (CLOCK_BOOTTIME), which nobody sets. Where
both disagree, the wall clock was set, and the stored deadlines move with it. As the pair is stored too, this
also holds across restarts of ops-service, until the machine itself restarts.
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from chitlaq.core.telemetry import logs
from chitlaq.ops.database.database import Transaction

# Clocks that are adjusted slowly (NTP) pull both along; what differs by more was set.
STEP = timedelta(seconds=2)

log = logs.get("escalation")


class Clock(Protocol):
    def wall(self) -> datetime: ...
    def elapsed(self) -> float: ...
    def boot_id(self) -> str: ...


class SystemClock:
    """The clocks of this machine."""

    def wall(self) -> datetime:
        return datetime.now(UTC)

    def elapsed(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def boot_id(self) -> str:
        with suppress(OSError):
            return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return "unknown"


def corrected(transaction: Transaction, clock: Clock) -> datetime:
    """Return the wall clock's time, after deadlines have moved if it was set."""
    wall, elapsed, boot_id = clock.wall(), clock.elapsed(), clock.boot_id()
    rows = transaction.rows("clock_anchor")
    if not rows or rows[0]["boot_id"] != boot_id:
        transaction.rows("anchor_clock", boot_id, elapsed, wall)
        return wall
    passed = timedelta(seconds=elapsed - rows[0]["elapsed"])
    step = wall - (datetime.fromisoformat(rows[0]["wall"]) + passed)
    if abs(step) > STEP:
        seconds = step.total_seconds()
        log.warning("clock was set: deadlines move with it", seconds=round(seconds))
        transaction.rows("move_clocks", f"{seconds:+.3f} seconds")
        transaction.rows("move_pages", f"{seconds:+.3f} seconds")
        transaction.rows("move_acknowledgements", f"{seconds:+.3f} seconds")
        transaction.rows("anchor_clock", boot_id, elapsed, wall)
    return wall


def now(transaction: Transaction) -> datetime:
    """Return what time it is by the clocks of this machine, after deadlines have moved if it was set."""
    return corrected(transaction, SystemClock())
