"""The tables of the benchmark of deployments for a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from chitlaq.bench.deployment import Report
from chitlaq.bench.report import new_table


def rendered(report: Report) -> RenderableType:
    """Return a table of both sides of each comparison."""
    table = new_table("", "per second", "p95, ms", "CPU, µs", "ratio")
    for compared in report.compared:
        for side, ratio in ((compared.usual, ""), (compared.other, f"{compared.ratio:.2f}")):
            table.add_row(
                f"{compared.what}, {side.name}",
                f"{side.per_second:,.0f}",
                f"{side.p95:.1f}",
                f"{side.microseconds:,}",
                ratio,
            )
    return Group(
        Text(
            f"{report.cores} cores shared with the load generator, load average before"
            f" {report.load_average}; CPU of all components together"
        ),
        table,
        Text(
            f"\nA new connection with TLS: {report.handshake_microseconds:,} µs more of nginx's CPU"
        ),
    )
