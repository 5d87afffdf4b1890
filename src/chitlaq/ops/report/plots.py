"""A time series as a small chart: inline SVG, with a description in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from chitlaq.core.formatting import quantity
from chitlaq.core.local_time import local
from chitlaq.ops.checks.model import TimeSeries

WIDTH, HEIGHT = 320, 96
LEFT, RIGHT, TOP, BOTTOM = 4, 4, 8, 18
GAP = 2.5
"""A pause of more steps than this is a gap that no line crosses."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A chart: lines as SVG points, and the text around it."""

    title: str
    lines: tuple[str, ...]
    words: str
    first: str
    last: str


def plot(series: TimeSeries) -> Plot | None:
    """Return the chart of a series, or None if it has no finite samples."""
    points = [(at, value) for at, value in series.points if math.isfinite(value)]
    if not points:
        return None
    values = [value for _, value in points]
    low, high = min(0.0, *values), max(values)
    low_said, high_said = quantity(min(values), series.unit), quantity(high, series.unit)
    is_long = points[-1][0] - points[0][0] > timedelta(days=2)
    first, last = local(points[0][0]), local(points[-1][0])
    # Across midnight, the time alone is ambiguous.
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
    """Split a series where samples are missing."""
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
    # Halved, so that the largest floats do not overflow.
    spread = (high / 2 - low / 2) or 0.5
    places = []
    for at, value in piece:
        x = LEFT + (at - start).total_seconds() / width * (WIDTH - LEFT - RIGHT)
        share = (value / 2 - low / 2) / spread
        y = HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
        places.append(f"{x:.1f},{y:.1f}")
    if len(places) == 1:
        # Draw a lone sample as a short, visible stroke.
        places.append(f"{min(x + 2, WIDTH - RIGHT):.1f},{y:.1f}")
    return " ".join(places)
