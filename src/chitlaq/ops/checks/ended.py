"""What has ended: a check of a day's logs says when it ended, and is OK again soon after.

An outage that lasted for minutes is over after five clean ones. What comes again and again is over after five
times its usual pause, and whatever it is, after a clean hour.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chitlaq.core.installation.settings import Threshold
from chitlaq.logs.analysis import MINUTE_SECONDS, Group

SOON = timedelta(minutes=5)
PAUSES = 5
CLEAN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What went wrong within a day.

    Args:
        last: when it last did.
        minutes: in which of the hour before that, since 1970.
    """

    last: datetime
    minutes: tuple[int, ...]

    @property
    def is_over(self) -> bool:
        """Whether the last of it is long enough ago."""
        between = len(self.minutes) - 1
        pause = (self.minutes[-1] - self.minutes[0]) * MINUTE_SECONDS / between if between else 0.0
        needed = min(CLEAN, max(SOON, PAUSES * timedelta(seconds=pause)))
        return datetime.now(UTC) - self.last > needed


def of(groups: Iterable[Group]) -> Trouble | None:
    """Return what these lines tell of; None if there is none."""
    found = list(groups)
    if not found:
        return None
    last = max(one.last for one in found)
    since = (last - CLEAN).timestamp() / MINUTE_SECONDS
    minutes = {minute for one in found for minute in one.minutes if minute > since}
    return Trouble(last, tuple(sorted(minutes)))


def limits(threshold: Threshold, trouble: Trouble | None) -> tuple[float, ...]:
    """Return the threshold for as long as it goes on."""
    return threshold if trouble is not None and not trouble.is_over else ()


def said(trouble: Trouble | None) -> str:
    """``; ended at 14:02``, with the day if that was another one."""
    if trouble is None or not trouble.is_over:
        return ""
    local = trouble.last.astimezone()
    is_today = local.date() == datetime.now().astimezone().date()
    return f"; ended at {local:%H:%M}" if is_today else f"; ended at {local:%H:%M on %d %b}"
