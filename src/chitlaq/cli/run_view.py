"""A run of checks in a terminal: the summary, then the results, worst first, with details on request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from chitlaq.cli import output
from chitlaq.core.formatting import quantity
from chitlaq.ops.checks.model import Evidence, Lines, Table, TimeSeries, Verdict
from chitlaq.ops.report import text

if TYPE_CHECKING:
    from chitlaq.ops.checks.runner import Result, Run

STYLES = {
    Verdict.CRITICAL: "bold red",
    Verdict.UNKNOWN: "bold magenta",
    Verdict.WARNING: "yellow",
    Verdict.OK: "green",
    Verdict.SKIPPED: "dim",
}
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 48


def rendered(run: Run, commands: Mapping[str, Sequence[str]], *, details: bool) -> RenderableType:
    """Return a run as text for people.

    Args:
        run: the run.
        commands: the equivalent shell commands by check, shown with the details.
        details: show evidence and commands.
    """
    parts: list[RenderableType] = [_head(run), Text()]
    parts += [
        _result(run, one, commands.get(one.check, ()), details=details)
        for one in run.results
        if details or not one.explained_by
    ]
    return Group(*parts)


def fitting(run: Run, console: Console, height: int) -> RenderableType:
    """Return the results that fit on a screen, worst first, and how many do not.

    Args:
        run: the run.
        console: the screen, for its width.
        height: number of lines.
    """
    parts: list[RenderableType] = [_head(run), Text()]
    # Reserve a line for the number of hidden results.
    room = height - _lines_of(Group(*parts), console) - 1
    listed = [one for one in run.results if not one.explained_by]
    rows = [_result(run, one, (), details=False) for one in listed]
    if sum(_lines_of(row, console) for row in rows[: len(run.problems)]) > room:
        # List every problem without its remedy rather than truncate the list.
        rows = [_result(run, one, (), details=False, with_remedy=False) for one in listed]
    shown = 0
    for row in rows:
        room -= _lines_of(row, console)
        if room < 0:
            break
        parts.append(row)
        shown += 1
    left = listed[shown:]
    if left:
        parts.append(Text(f"{len(left)} more not shown: {text.sentence(left)}", style="bold"))
    return Group(*parts)


def _lines_of(part: RenderableType, console: Console) -> int:
    return len(console.render_lines(part))


def _head(run: Run) -> Text:
    return Text.assemble(
        (run.verdict, STYLES[run.verdict]),
        f"  {run.routine}, {run.started_at.astimezone():%Y-%m-%d %H:%M} on {run.host},"
        f" in {run.duration_seconds:.1f} s: {text.sentence(run.results)}",
    )


def _result(
    run: Run,
    one: Result,
    commands: Sequence[str],
    *,
    details: bool,
    with_remedy: bool = True,
) -> RenderableType:
    line = RichTable.grid(padding=(0, 1, 0, 0), expand=False)
    line.add_column(width=8)
    line.add_column(width=24, overflow="fold")
    line.add_column(overflow="fold")
    said = Text(one.summary)
    for note in one.notes:
        said.append(f"\n{text.note_line(note)}", style="cyan")
    if with_remedy and one.verdict.is_problem:
        said.append(f"\n→ {one.remedy}", style="dim")
    if effects := run.effects(one):
        said.append(f"\n{text.explains(effects)}", style="dim")
    line.add_row(Text(one.verdict, style=STYLES[one.verdict]), one.check, said)
    if not details:
        return line
    parts: list[RenderableType] = [line]
    parts += [Padding(_shown(evidence), (0, 0, 0, 10)) for evidence in one.evidence]
    parts += [Text(f"          $ {command}", style="dim") for command in commands]
    return Group(*parts, Text())


def _shown(evidence: Evidence) -> RenderableType:
    if isinstance(evidence, Table):
        table = output.table(evidence.columns, [list(map(Text, row)) for row in evidence.rows])
        table.title, table.title_justify, table.title_style = evidence.title, "left", "italic"
        return table
    if isinstance(evidence, Lines):
        return Group(Text(evidence.title, style="italic"), *(Text(line) for line in evidence.lines))
    return _sparkline(evidence)


def _sparkline(series: TimeSeries) -> Text:
    values = [value for _, value in series.points]
    if not values:
        return Text(f"{series.title}: no samples", style="italic")
    step = max(len(values) / _WIDTH, 1.0)
    chosen = [values[int(place * step)] for place in range(int(len(values) / step))]
    low, high = min(values), max(values)
    spread = (high - low) or 1.0
    bars = "".join(_BARS[int((value - low) / spread * (len(_BARS) - 1))] for value in chosen)
    return Text.assemble(
        (f"{series.title} ", "italic"),
        bars,
        f" {quantity(low, series.unit)} to {quantity(high, series.unit)},"
        f" now {quantity(values[-1], series.unit)}",
    )
