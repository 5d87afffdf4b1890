"""The tables of the benchmark of notifications for a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from chitlaq.bench.notifications import Report
from chitlaq.bench.report import new_table, verdict

AIM_LIKES = 0.8
AIM_LIST = 0.5
AIM_NOTICED = 2.0


def rendered(report: Report) -> RenderableType:
    """Return the tables, with the target next to each figure."""
    costs = new_table("", "per second", "p95, ms", "CPU, µs")
    for name, cost in (
        ("likes, with notifications", report.liked),
        ("likes, without", report.liked_silently),
        ("GET /api/notifications", report.listed),
        ("GET /api/feed/home", report.home),
    ):
        costs.add_row(
            name,
            f"{cost.per_second:,.0f}",
            f"{cost.p95:.1f}",
            f"{sum(cost.microseconds.values()):,}",
        )
    listed = report.listed.per_second / report.home.per_second
    noticed = report.p95_beside / report.p95_alone
    announced = (
        f"p95 of the home feed during an announcement to {report.members:,}"
        f" ({report.told_seconds:.0f} s), beside before"
    )
    more = new_table("", "", "aim")
    for name, value, is_met, aim in (
        (
            "likes a second with notifications, beside without",
            f"{report.likes_ratio:.2f}",
            report.likes_ratio >= AIM_LIKES,
            f"{AIM_LIKES:g}",
        ),
        (
            "notifications a second, beside home feeds",
            f"{listed:.2f}",
            listed >= AIM_LIST,
            f"{AIM_LIST:g}",
        ),
        (
            announced,
            f"{noticed:.2f}",
            noticed < AIM_NOTICED,
            f"under {AIM_NOTICED:g}",
        ),
    ):
        more.add_row(name, value, f"{verdict(is_met)} {aim}")
    spent = new_table("CPU by component, µs", "a like", "without", "a list", "a home feed")
    for name in report.liked.microseconds:
        costs_of = (report.liked, report.liked_silently, report.listed, report.home)
        spent.add_row(name, *(str(cost.microseconds[name]) for cost in costs_of))
    said = f"{report.cores} cores; load average before: {report.load_average:.1f}"
    return Group(Text(said), costs, more, spent)
