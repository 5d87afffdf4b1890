"""Hours by a member's clocks: when they do not want to be disturbed, and when their morning is.

An hour that summer time skips is counted from before the gap (RFC 5545, 3.3.5: 02:30 is then 03:30); of one
that comes twice, quiet hours that begin in it begin with the first and quiet hours that end in it end with
the second. So they never begin again in the same night.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

MACHINE = Path("/etc/localtime")
MORNING = time(8)
DAY = timedelta(days=1)
MONDAY = 0


def zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name.

    Raises:
        ValueError: there is none.
    """
    try:
        return ZoneInfo(name)
    # OSError: a folder of time zones, such as Europe, or a name that is too long.
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("must be a time zone such as Europe/Istanbul") from None


def zone_of_installation(name: str) -> tzinfo:
    """Return the time zone that an operator named, or else this machine's."""
    with suppress(ValueError):
        if name:
            return zone(name)
    with suppress(OSError, ValueError), MACHINE.open("rb") as file:
        return ZoneInfo.from_file(file)
    return UTC


def quiet_until(now: datetime, begins: time, ends: time, where: tzinfo) -> datetime | None:
    """Return when the quiet hours that it is now end; None if it is not quiet."""
    today = now.astimezone(where).date()
    for day in (today - DAY, today):
        first = _first(datetime.combine(day, begins, where))
        last = _last(datetime.combine(day + DAY if ends <= begins else day, ends, where))
        if first <= now < last:
            return last
    return None


def next_morning(now: datetime, rhythm: Literal["daily", "weekly"], where: tzinfo) -> datetime:
    """Return the first morning after now, or the first one of a Monday."""
    day = now.astimezone(where).date()
    while True:
        morning = _first(datetime.combine(day, MORNING, where))
        if morning > now and (rhythm == "daily" or day.weekday() == MONDAY):
            return morning
        day += DAY


def _first(local: datetime) -> datetime:
    return local.replace(fold=0).astimezone(UTC)


def _last(local: datetime) -> datetime:
    return max(_first(local), local.replace(fold=1).astimezone(UTC))
