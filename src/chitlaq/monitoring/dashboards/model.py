"""Dashboards as plain data: rows of panels, each with its PromQL queries."""

from __future__ import annotations

from typing import Literal

import msgspec

PanelKind = Literal["timeseries", "stat", "bargauge"]
Unit = Literal["short", "s", "bytes", "percentunit", "reqps", "ops", "Bps", "bool_on_off", "eps"]

RATE = "[$__rate_interval]"


class Query(msgspec.Struct, frozen=True):
    """A PromQL expression, and the legend of its series."""

    expr: str
    legend: str


class Panel(msgspec.Struct, frozen=True):
    """A panel; ``width`` is in the 24 columns of Grafana's grid.

    ``threshold`` names the setting ``[checks]`` by which a check judges what the panel shows: the console
    draws it. Grafana does not know the settings.
    """

    title: str
    queries: tuple[Query, ...]
    unit: Unit
    kind: PanelKind = "timeseries"
    width: int = 8
    description: str = ""
    threshold: str = ""


class Row(msgspec.Struct, frozen=True):
    title: str
    panels: tuple[Panel, ...]


class Dashboard(msgspec.Struct, frozen=True):
    """A page; its uid is its address in Grafana and its file name."""

    uid: str
    title: str
    rows: tuple[Row, ...]
    span: str

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
    threshold: str = "",
) -> Panel:
    """A line for each series of one query."""
    return Panel(title, (Query(expr, legend),), unit, "timeseries", width, description, threshold)


def graphs(title: str, unit: Unit, *queries: tuple[str, str], width: int = 8) -> Panel:
    """Lines of several queries, each as (PromQL, legend)."""
    return Panel(title, tuple(Query(*query) for query in queries), unit, "timeseries", width)


def number(title: str, expr: str, unit: Unit = "short", *, threshold: str = "") -> Panel:
    """The latest value, in large type."""
    return Panel(title, (Query(expr, title),), unit, "stat", 4, threshold=threshold)


def bars(title: str, expr: str, legend: str, unit: Unit = "short", *, width: int = 8) -> Panel:
    """The latest values side by side."""
    return Panel(title, (Query(expr, legend),), unit, "bargauge", width)


def rates(
    title: str,
    metric: str,
    by: str,
    unit: Unit,
    *,
    matchers: str = "",
    top: int = 0,
    width: int = 8,
) -> Panel:
    """The rate of a counter, with a line for each combination of the labels ``by``.

    Args:
        matchers: label matchers, as ``name="value",…``.
        top: show only this many of the highest lines.
    """
    return graph(title, _top(top, _rate(metric, by, matchers)), _legend(by), unit, width=width)


def p95(
    title: str,
    histogram: str,
    by: str,
    *,
    matchers: str = "",
    top: int = 0,
    width: int = 8,
    threshold: str = "",
) -> Panel:
    """The 95th percentile of a histogram in seconds; arguments as of `rates`."""
    expr = _top(top, _quantile(0.95, histogram, f"{by}, le", matchers))
    return graph(f"{title}, 95 %", expr, _legend(by), "s", width=width, threshold=threshold)


def quantiles(title: str, histogram: str, *, matchers: str, width: int) -> Panel:
    """The median, 95th and 99th percentile of a histogram in seconds."""
    shares = ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))
    queries = ((_quantile(share, histogram, "le", matchers), name) for share, name in shares)
    return graphs(title, "s", *queries, width=width)


def row(title: str, *panels: Panel) -> Row:
    return Row(title, panels)


def dashboard(uid: str, title: str, *rows: Row, span: str = "now-6h") -> Dashboard:
    return Dashboard(uid, title, rows, span)


def _rate(metric: str, by: str, matchers: str) -> str:
    chosen = f"{{{matchers}}}" if matchers else ""
    return f"sum by ({by}) (rate({metric}{chosen}{RATE}))"


def _quantile(share: float, histogram: str, by: str, matchers: str) -> str:
    return f"histogram_quantile({share}, {_rate(f'{histogram}_bucket', by, matchers)})"


def _top(count: int, expr: str) -> str:
    return f"topk({count}, {expr})" if count else expr


def _legend(by: str) -> str:
    return " ".join(f"{{{{{label}}}}}" for label in by.split(", "))
