"""Points in time as operators write and read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from chitlaq.core.errors import OperatorError
from chitlaq.core.local_time import local, zone

_FORMAT = re.compile(
    r"(?:(\d{4}-\d\d-\d\d)[ T])?(\d\d:\d\d(?::\d\d(?:[.,]\d{1,6})?)?) ?(Z|[+-]\d\d(?::?\d\d)?)?"
)
_AGO = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_CLOCK_TOLERANCE = timedelta(minutes=1)


def parse(text: str, option: str, *, may_be_future: bool = False) -> datetime:
    """Parse a date and time, a time of today, or how long ago; in local time unless a zone is given.

    Args:
        text: what the operator wrote.
        option: the option's name, for the message.
        may_be_future: whether it may not have come yet.

    Raises:
        OperatorError: it cannot be parsed, must not be in the future, or the clock never showed it, or twice.
    """
    found = _FORMAT.fullmatch(text.strip())
    try:
        if ago := _AGO.fullmatch(text.strip()):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        if found is None:
            raise ValueError
        day = found[1] or f"{local(datetime.now(UTC)):%Y-%m-%d}"
        written = datetime.fromisoformat(f"{day} {found[2]}{found[3] or ''}")
        moment = local(written) if written.tzinfo else _local(written, f"{option} {text!r}")
    except (ValueError, OverflowError):
        # Also a time that is too long ago for a calendar.
        raise OperatorError(
            f"{option} {text!r} is not a point in time. Write '2026-11-24 02:15:00', '2026-11-24 02:15'"
            " or '02:15' (today) in local time, or add a time zone: '2026-11-24 02:15:00+01:00',"
            " '2026-11-24T02:15:00Z'; or how long ago: 10m, 2h, 1d."
        ) from None
    if not may_be_future and moment > datetime.now(UTC) + _CLOCK_TOLERANCE:
        raise OperatorError(f"{option} {text!r} ({shown(moment)}) is in the future.")
    return moment


def _local(written: datetime, what: str) -> datetime:
    """The moment at which the local clock showed a time.

    Raises:
        OperatorError: it never did, or twice, because the clock was changed then.
    """
    first, second = (
        local(written.replace(fold=fold, tzinfo=zone()).astimezone(UTC)).replace(fold=0)
        for fold in (0, 1)
    )
    if first.replace(tzinfo=None) != written:
        raise OperatorError(
            f"{what} never was, since the clock was set forward then: write for instance"
            f" '{shown(min(first, second))}' or '{shown(max(first, second))}'."
        )
    if first != second:
        raise OperatorError(
            f"{what} was twice, since the clock was set back then: write '{shown(first)}' for the first"
            f" time or '{shown(second)}' for the second."
        )
    return first


def shown(moment: datetime) -> str:
    """A point in time in local time with its offset, as `parse` reads it."""
    timespec = "microseconds" if moment.microsecond else "seconds"
    return local(moment).isoformat(" ", timespec)
