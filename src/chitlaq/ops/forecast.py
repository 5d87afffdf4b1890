"""How long until something is full: a straight line through the past, with an honest band.

Least squares over samples; the band is the 95 % confidence interval of the slope (normal
approximation, with the residuals' standard error; Draper and Smith, Applied Regression Analysis,
1.4). Where the line does not explain what was seen, nothing is forecast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

DAY_SECONDS = 86_400.0
NORMAL_95 = 1.96
FEWEST_POINTS = 24
SHORTEST_SECONDS = DAY_SECONDS
LEAST_EXPLAINED = 0.7
"""Share of the variance that the line must explain (R²)."""
FLAT_RATIO = 0.001
"""Growth over the whole time below this share of the limit is no growth."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a series does, and when it meets its limit.

    Args:
        per_day: growth, in the series' unit.
        days: until the limit, or None when it does not come nearer.
        earliest, latest: the band of that; latest is None when it may never come.
        explained: share of the variance that the line explains.
        reason: why nothing is forecast, or nothing.
    """

    per_day: float
    days: float | None = None
    earliest: float | None = None
    latest: float | None = None
    explained: float = 0.0
    reason: str = ""


def until(points: Sequence[tuple[float, float]], limit: float) -> Forecast:
    """Forecast when a growing series meets a limit.

    Args:
        points: (Unix seconds, value), oldest first.
        limit: in the unit of the values.
    """
    span = points[-1][0] - points[0][0] if points else 0.0
    if len(points) < FEWEST_POINTS or span < SHORTEST_SECONDS:
        return Forecast(0.0, reason=f"only {span / 3600:.0f} h are known, and a day is needed")
    slope, error, explained = _line(points)
    per_day, now = slope * DAY_SECONDS, points[-1][1]
    if now >= limit:
        return Forecast(per_day, 0.0, 0.0, 0.0, explained)
    if abs(slope) * span < FLAT_RATIO * limit:
        return Forecast(per_day, explained=explained, reason="it does not grow")
    if explained < LEAST_EXPLAINED:
        return Forecast(
            per_day,
            explained=explained,
            reason=f"it goes up and down: a line explains only {explained:.0%} of that",
        )
    if slope <= 0:
        return Forecast(per_day, explained=explained, reason="it shrinks")
    room = limit - now
    fast, slow = slope + NORMAL_95 * error, slope - NORMAL_95 * error
    return Forecast(
        per_day,
        room / slope / DAY_SECONDS,
        room / fast / DAY_SECONDS,
        room / slow / DAY_SECONDS if slow > 0 else None,
        explained,
    )


def _line(points: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Return (slope a second, its standard error, R²) of the least-squares line."""
    middle, mean = fmean(at for at, _ in points), fmean(value for _, value in points)
    width = sum((at - middle) ** 2 for at, _ in points)
    slope = sum((at - middle) * (value - mean) for at, value in points) / width
    whole = sum((value - mean) ** 2 for _, value in points)
    rest = sum((value - mean - slope * (at - middle)) ** 2 for at, value in points)
    if whole == 0:
        return 0.0, 0.0, 1.0
    error = math.sqrt(rest / (len(points) - 2) / width)
    return slope, error, max(0.0, 1 - rest / whole)
