"""What a panel shows: its queries to Prometheus, in bounded time, with a bounded number of points."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from chitlaq.core.errors import UnknownResult
from chitlaq.core.formatting import duration, number, share, size
from chitlaq.core.host import http_client
from chitlaq.core.host.http_client import Response
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.observers import Access
from chitlaq.core.installation.settings import Settings
from chitlaq.core.visible import one_line
from chitlaq.monitoring.dashboards.model import RATE, Dashboard, Panel, Unit
from chitlaq.ops.checks.sources.prometheus import PrometheusView, require_nothing

MAX_POINTS = 240
MAX_SERIES = 40
QUERY_SECONDS = 4.0
TOGETHER = 6
"""Queries of one request that are under way at the same time."""

SPANS = {"1h": 3600, "6h": 21_600, "1d": 86_400, "3d": 259_200, "7d": 604_800, "30d": 2_592_000}
"""Time ranges up to now, in seconds."""

_LABEL = re.compile(r"\{\{(\w+)\}\}")

_FORMATS: dict[Unit, Callable[[float], str]] = {
    "short": number,
    "s": lambda value: f"-{duration(-value)}" if value < 0 else duration(value),
    "bytes": size,
    "percentunit": lambda value: "< 0.01 %" if 0 < abs(value) < 1e-4 else share(value),
    "Bps": lambda value: f"{size(value)}/s",
    "bool_on_off": lambda value: "on" if value else "off",
}
_FORMATS |= {unit: lambda value: f"{number(value)}/s" for unit in ("reqps", "ops", "eps")}


def shown(value: float, unit: Unit) -> str:
    """A value in the unit of its panel, for people."""
    return _FORMATS[unit](value) if math.isfinite(value) else str(value)


@dataclass(frozen=True, slots=True)
class Window:
    """The times at which a graph has points: as many for every panel, so that all line up.

    Args:
        span: its length in seconds.
        scrape_seconds: how often Prometheus gets new values.
    """

    span: int
    scrape_seconds: int

    @property
    def step(self) -> int:
        return max(self.scrape_seconds, math.ceil(self.span / MAX_POINTS))

    def times(self) -> list[int]:
        """Seconds since 1970 up to the last scrape, a step apart."""
        end = int(datetime.now(UTC).timestamp()) // self.scrape_seconds * self.scrape_seconds
        return list(range(end - self.span // self.step * self.step, end + 1, self.step))

    def expression(self, text: str) -> str:
        """PromQL with the range of its rates: as Grafana chooses it, so that each has two samples."""
        seconds = max(4 * self.scrape_seconds, self.step + self.scrape_seconds)
        return text.replace(RATE, f"[{seconds}s]")


class Series(msgspec.Struct):
    """One line: its values at the times of its panel, and in words the last, the least and the greatest."""

    name: str
    values: list[float | None]
    last: str
    least: str
    greatest: str


class Drawn(msgspec.Struct):
    """A panel's content; ``omitted`` counts the series that are too many to draw."""

    times: list[int]
    series: list[Series]
    omitted: int


class Drawing:
    """Draws panels of one request."""

    def __init__(self, home: Home, settings: Settings, span: int) -> None:
        self._window = Window(span, settings.monitoring.scrape_seconds)
        self._prometheus = PrometheusView(home, settings, self._get, require_nothing)
        self._together = asyncio.Semaphore(TOGETHER)

    async def panel(self, panel: Panel) -> Drawn:
        """Return what a panel shows: over time if it is a graph, otherwise now.

        Raises:
            UnknownResult: Prometheus does not answer, or refuses.
        """
        if panel.kind != "timeseries":
            return await self.now(panel)
        times = self._window.times()
        found = await asyncio.gather(
            *(self._range(query.expr, query.legend, times) for query in panel.queries)
        )
        return _drawn(times, [one for some in found for one in some], panel.unit)

    async def now(self, panel: Panel) -> Drawn:
        """Return the latest values of a panel; arguments and errors as of `panel`."""
        found = await asyncio.gather(
            *(self._instant(query.expr, query.legend) for query in panel.queries)
        )
        return _drawn([], [one for some in found for one in some], panel.unit)

    async def _range(
        self, expression: str, legend: str, times: Sequence[int]
    ) -> list[tuple[str, list[float | None]]]:
        async with self._together:
            ranges = await self._prometheus.range(
                self._window.expression(expression),
                times[-1] - times[0],
                self._window.step,
                times[-1],
            )
        places = {time: place for place, time in enumerate(times)}
        lines = []
        for one in ranges:
            values: list[float | None] = [None] * len(times)
            for at, text in one.values:
                values[places[int(at)]] = _finite(text)
            lines.append((_named(legend, one.metric), values))
        return lines

    async def _instant(self, expression: str, legend: str) -> list[tuple[str, list[float | None]]]:
        async with self._together:
            samples = await self._prometheus.samples(self._window.expression(expression))
        return [(_named(legend, one.metric), [_finite(one.value[1])]) for one in samples]

    async def _get(self, access: Access, path: str, parameters: dict[str, str]) -> Response:
        try:
            return await http_client.get(
                access.url + path,
                parameters=parameters,
                tls=access.tls,
                timeout_seconds=QUERY_SECONDS,
            )
        except http_client.NoAnswerError as error:
            raise UnknownResult(f"Prometheus gives {error}") from None


def span_of(dashboard: Dashboard, wanted: str) -> str:
    """The time range that was asked for, or else the one that the dashboard declares."""
    return wanted if wanted in SPANS else dashboard.span.removeprefix("now-")


def _named(legend: str, labels: dict[str, str]) -> str:
    """The legend with the labels, which others may have chosen: a browser gets it as JSON."""
    name = _LABEL.sub(lambda found: labels.get(found[1], ""), legend).strip()
    return one_line(name) or "value"


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _drawn(times: list[int], lines: list[tuple[str, list[float | None]]], unit: Unit) -> Drawn:
    """Name the lines, those with the greatest values first where there are too many."""
    found = []
    for name, values in lines:
        known = [value for value in values if value is not None]
        if known:
            words = (shown(value, unit) for value in (known[-1], min(known), max(known)))
            found.append((max(known), Series(name, values, *words)))
    omitted = max(0, len(found) - MAX_SERIES)
    if omitted:
        found = sorted(found, key=lambda one: -one[0])[:MAX_SERIES]
    return Drawn(times, [series for _, series in found], omitted)
