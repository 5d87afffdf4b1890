"""A series as a small picture: inline SVG, with what it shows said in words beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from chitlaq.core.formatting import quantity
from chitlaq.ops.checks.model import TimeSeries

WIDTH, HEIGHT = 320, 96
LEFT, RIGHT, TOP, BOTTOM = 4, 4, 8, 18
GAP = 2.5
"""A pause of more than so many steps is a gap, over which no line is drawn."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture: lines as SVG points, and the words around it."""

    title: str
    lines: tuple[str, ...]
    words: str
    first: str
    last: str


def plot(series: TimeSeries) -> Plot | None:
    """Return the picture of a series; None when it has no samples that can be drawn."""
    points = [(at, value) for at, value in series.points if math.isfinite(value)]
    if not points:
        return None
    values = [value for _, value in points]
    low, high = min(0.0, *values), max(values)
    low_said, high_said = quantity(min(values), series.unit), quantity(high, series.unit)
    is_long = points[-1][0] - points[0][0] > timedelta(days=2)
    first, last = points[0][0].astimezone(), points[-1][0].astimezone()
    # The same clock a day later is no clock.
    clock = "%H:%M" if first.date() == last.date() else "%a %H:%M"
    stamp = "%d %b" if is_long else clock
    return Plot(
        series.title,
        tuple(_drawn(piece, points[0][0], points[-1][0], low, high) for piece in _pieces(points)),
        f"{low_said} to {high_said}, last {quantity(values[-1], series.unit)}",
        first.strftime(stamp),
        last.strftime(stamp),
    )


def _pieces(points: Sequence[tuple[datetime, float]]) -> Iterator[list[tuple[datetime, float]]]:
    """Split where samples are missing."""
    steps = sorted((b[0] - a[0]).total_seconds() for a, b in pairwise(points))
    usual = steps[len(steps) // 2] if steps else 0.0
    piece = [points[0]]
    for before, point in pairwise(points):
        if (point[0] - before[0]).total_seconds() > GAP * usual:
            yield piece
            piece = []
        piece.append(point)
    yield piece


def _drawn(
    piece: Sequence[tuple[datetime, float]], start: datetime, end: datetime, low: float, high: float
) -> str:
    width = (end - start).total_seconds() or 1.0
    # Halves, so that the largest numbers there are do not overflow.
    spread = (high / 2 - low / 2) or 0.5
    places = []
    for at, value in piece:
        x = LEFT + (at - start).total_seconds() / width * (WIDTH - LEFT - RIGHT)
        share = (value / 2 - low / 2) / spread
        y = HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
        places.append(f"{x:.1f},{y:.1f}")
    if len(places) == 1:
        # A lone sample is a short stroke, so that it can be seen.
        places.append(f"{min(x + 2, WIDTH - RIGHT):.1f},{y:.1f}")
    return " ".join(places)
