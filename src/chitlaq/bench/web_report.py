"""The tables of the benchmark of the web application for a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from chitlaq.bench.report import new_table, verdict
from chitlaq.bench.web import LATENCY_MS, SLOWED, Report, Used

AIM_PAINT = {"home, first visit": 2500.0, "home, repeated visit": 1000.0}
AIM_PUBLIC_PAINT = 1500.0
AIM_SHIFT = 0.05
AIM_REQUESTS = 20
AIM_INTERACTION = 200.0
AIM_FRAME = 33.0
AIM_NODES = 1500


def rendered(report: Report) -> RenderableType:
    """Return the tables, with the target next to each figure."""
    plain, *pages = report.opened
    opened = new_table(
        "opening, ms", "first paint", "largest paint", "aim", "shift", "requests", "kB", "ratio"
    )
    opened.add_row(
        plain.name,
        f"{plain.first_paint:,.0f}",
        f"{plain.largest_paint:,.0f}",
        "",
        f"{plain.shift:.3f}",
        str(plain.requests),
        f"{plain.kilobytes:.1f}",
        "1.00",
    )
    for one in pages:
        aim = AIM_PAINT.get(one.name, AIM_PUBLIC_PAINT)
        is_met = one.largest_paint <= aim and one.shift <= AIM_SHIFT
        opened.add_row(
            one.name,
            f"{one.first_paint:,.0f}",
            f"{one.largest_paint:,.0f}",
            f"{verdict(is_met)} {aim:,.0f}",
            f"{one.shift:.3f}",
            str(one.requests),
            f"{one.kilobytes:.1f}",
            f"{one.ratio:.2f}",
        )
    said = (
        f"{report.cores} cores at a quarter of their speed (1/{SLOWED}), {LATENCY_MS} ms and 1.6 Mbit/s;"
        f" load average before: {report.load_average:.1f}; {report.rounds} rounds"
    )
    return Group(
        Text(said),
        opened,
        *(
            _used(title, rows, aim)
            for title, rows, aim in (
                ("from input to paint, ms", report.interactions, AIM_INTERACTION),
                ("frames while scrolling, ms", report.frames, AIM_FRAME),
            )
        ),
    )


def _used(title: str, rows: list[Used], aim: float) -> RenderableType:
    table = new_table(title, "p50", "p95", "aim", "nodes", "ratio")
    for one in rows:
        is_met = one.p95 <= aim and one.nodes <= AIM_NODES
        table.add_row(
            one.name,
            f"{one.p50:.0f}",
            f"{one.p95:.0f}",
            f"{verdict(is_met)} {aim:.0f}",
            f"{one.nodes:,}",
            f"{one.ratio:.2f}",
        )
    return table
