"""Dashboards as plain data: rows of panels, each with its PromQL queries."""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["timeseries", "stat", "bargauge"]
Unit = Literal["short", "s", "bytes", "percentunit", "reqps", "ops", "Bps", "bool_on_off", "eps"]

RATE = "[$__rate_interval]"


class Query(msgspec.Struct, frozen=True):
    """A PromQL expression, and the legend of its series."""

    expr: str
    legend: str


class Panel(msgspec.Struct, frozen=True):
    """A panel; ``width`` is in the 24 columns of Grafana's grid."""

    title: str
    queries: tuple[Query, ...]
    unit: Unit
    kind: Kind = "timeseries"
    width: int = 8
    description: str = ""


class Row(msgspec.Struct, frozen=True):
    title: str
    panels: tuple[Panel, ...]


class Dashboard(msgspec.Struct, frozen=True):
    """A page; its uid is its address in Grafana and its file name."""

    uid: str
    title: str
    rows: tuple[Row, ...]
    span: str = "now-6h"

    @property
    def panels(self) -> tuple[Panel, ...]:
        return tuple(panel for row in self.rows for panel in row.panels)


def graph(
    title: str,
    expr: str,
    legend: str,
    unit: Unit = "short",
    *,
    width: int = 8,
    description: str = "",
) -> Panel:
    """A line for each series of one query."""
    return Panel(title, (Query(expr, legend),), unit, "timeseries", width, description)


def graphs(title: str, unit: Unit, *queries: tuple[str, str], width: int = 8) -> Panel:
    """Lines of several queries, each as (PromQL, legend)."""
    return Panel(title, tuple(Query(*query) for query in queries), unit, "timeseries", width)


def number(
    title: str, expr: str, unit: Unit = "short", *, legend: str = "", width: int = 4
) -> Panel:
    """The latest value, in large type."""
    return Panel(title, (Query(expr, legend or title),), unit, "stat", width)


def bars(title: str, expr: str, legend: str, unit: Unit = "short", *, width: int = 8) -> Panel:
    """The latest values side by side."""
    return Panel(title, (Query(expr, legend),), unit, "bargauge", width)


def quantiles(
    title: str, histogram: str, by: str = "", *, matchers: str = "", width: int = 8
) -> Panel:
    """The median, 95th and 99th percentile of a histogram in seconds.

    Args:
        histogram: its name, without ``_bucket``.
        by: the label that distinguishes the lines.
        matchers: label matchers, as ``name="value",…``.
    """
    legend = f"{{{{{by}}}}} " if by else ""
    labels = f"{by}, le" if by else "le"
    rate = f"sum by ({labels}) (rate({histogram}_bucket{{{matchers}}}{RATE}))"
    return Panel(
        title,
        tuple(
            Query(f"histogram_quantile({share}, {rate})", f"{legend}{name}")
            for share, name in ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))
        ),
        "s",
        "timeseries",
        width,
    )
