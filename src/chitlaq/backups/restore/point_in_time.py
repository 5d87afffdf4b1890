"""Points in time as operators write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from chitlaq.core.errors import OperatorError

_FORMAT = re.compile(
    r"(?:(\d{4}-\d\d-\d\d)[ T])?(\d\d:\d\d(?::\d\d(?:[.,]\d{1,6})?)?) ?(Z|[+-]\d\d(?::?\d\d)?)?"
)
_CLOCK_TOLERANCE = timedelta(minutes=1)


def parse(text: str, option: str) -> datetime:
    """Parse a date and time, or a time of today; in the local time zone unless one is given.

    Args:
        text: what the operator wrote.
        option: the option's name, for the message.

    Raises:
        OperatorError: it cannot be parsed, or is in the future.
    """
    found = _FORMAT.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError
        day = found[1] or f"{datetime.now().astimezone():%Y-%m-%d}"
        moment = datetime.fromisoformat(f"{day} {found[2]}{found[3] or ''}").astimezone()
    except ValueError:
        raise OperatorError(
            f"{option} {text!r} is not a point in time. Write '2026-11-24 02:15:00', '2026-11-24 02:15'"
            " or '02:15' (today) in local time, or add a time zone: '2026-11-24 02:15:00+01:00',"
            " '2026-11-24T02:15:00Z'."
        ) from None
    if moment > datetime.now(UTC) + _CLOCK_TOLERANCE:
        raise OperatorError(f"{text} ({moment:%Y-%m-%d %H:%M:%S %Z}) is in the future.")
    return moment
