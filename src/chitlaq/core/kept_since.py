"""From when on records are kept, although the clock may be wrong while it is asked."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta


def kept_since(moments: Iterable[datetime], days: int, now: datetime) -> datetime:
    """Return the moment before which records are older than some days.

    They are older by the clock, and as many days that have records came after them: a clock that is ahead
    for a while, or a machine that was off, makes nothing expire. One day more than that, since a clock may be
    ahead by one without leaving out any.

    Args:
        moments: when records were made; those in the future are of a clock that has been set back.
        days: how long records are kept.
        now: the time by the clock.
    """
    by_clock = now - timedelta(days=days)
    recorded = sorted({one.astimezone(UTC).date() for one in moments if one <= now})[-(days + 1) :]
    if not recorded:
        return by_clock
    return min(by_clock, datetime.combine(recorded[0], time(), UTC))
