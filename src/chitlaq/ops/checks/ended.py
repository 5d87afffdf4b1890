"""What has ended: a check of a day's logs is OK again when the last hour is clean, and says when it ended."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from chitlaq.core.installation.settings import Threshold
from chitlaq.logs.analysis import Group

CLEAN = timedelta(hours=1)


def last_of(groups: Iterable[Group]) -> datetime | None:
    return max((one.last for one in groups), default=None)


def is_over(last: datetime | None) -> bool:
    """Whether the last of it is long enough ago."""
    return last is None or datetime.now(UTC) - last > CLEAN


def limits(threshold: Threshold, last: datetime | None) -> tuple[float, ...]:
    """Return the threshold for as long as it goes on."""
    return () if is_over(last) else threshold


def said(last: datetime | None) -> str:
    """``; ended at 14:02``, with the day if that was another one."""
    if last is None or not is_over(last):
        return ""
    local = last.astimezone()
    is_today = local.date() == datetime.now().astimezone().date()
    return f"; ended at {local:%H:%M}" if is_today else f"; ended at {local:%H:%M on %d %b}"
