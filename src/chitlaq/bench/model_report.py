"""The tables of the load model for a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from chitlaq.bench.model import Report
from chitlaq.bench.report import new_table


def rendered(report: Report) -> RenderableType:
    """Return what a session costs, beside the prediction, and how its actions fared."""
    spent = new_table("CPU", "of a session, ms", "of a second at rest, ms")
    rest = report.at_rest_milliseconds
    for name, milliseconds in sorted(report.milliseconds.items(), key=lambda row: -row[1]):
        spent.add_row(name, f"{milliseconds:.1f}", f"{rest[name]:.1f}")
    spent.add_row("all", f"{report.measured_milliseconds:.1f}", f"{sum(rest.values()):.1f}")
    spent.add_row("predicted (docs/capacity.md)", f"{report.predicted_milliseconds:.1f}", "")
    ratio = report.measured_milliseconds / report.predicted_milliseconds
    spent.add_row("measured / predicted", f"{ratio:.2f}", "")
    kinds = new_table("", "a second", "p50 ms", "p95 ms")
    for name, kind in report.outcome.kinds.items():
        kinds.add_row(
            name,
            f"{kind.count / report.outcome.seconds:,.1f}",
            f"{kind.p50:,.1f}",
            f"{kind.p95:,.1f}",
        )
    refused = ", ".join(f"{name}: {count:,}" for name, count in report.outcome.refusals.items())
    model = ", ".join(f"{count:g} {name}" for name, count in report.model.actions().items())
    said = Text(
        f"{report.sessions:,} sessions at once of {report.members:,} members, {report.whole_sessions:,}"
        f" whole ones in {report.outcome.seconds:.0f} s, {report.outcome.began:,} began meanwhile. A session:"
        f" {report.model.seconds:.0f} s, {model}. {report.cores} cores, load average"
        f" {report.load_average}. Refused: {refused or 'nothing'}."
    )
    return Group(spent, kinds, said)
