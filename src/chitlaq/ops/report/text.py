"""A run as text: the output of a Nagios plugin, and Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chitlaq.core.formatting import count
from chitlaq.ops.checks.model import WORST_FIRST, Evidence, Lines, Table, TimeSeries, Value, Verdict
from chitlaq.ops.checks.runner import Note, Result, Run

NAGIOS_CODES = {
    Verdict.OK: 0,
    Verdict.SKIPPED: 0,
    Verdict.WARNING: 1,
    Verdict.CRITICAL: 2,
    Verdict.UNKNOWN: 3,
}
"""Exit codes from the Monitoring Plugins guidelines."""
_NAGIOS_UNITS = {"seconds": "s", "bytes": "B"}


def tally(results: Iterable[Result]) -> dict[Verdict, int]:
    """Return how many results have each verdict."""
    found = dict.fromkeys(Verdict, 0)
    for one in results:
        found[one.verdict] += 1
    return found


def sentence(results: Iterable[Result]) -> str:
    """``1 critical, 2 warnings, 9 more explained by these, 40 ok``."""
    results = list(results)
    counts = tally(one for one in results if not one.explained_by)
    explained = sum(bool(one.explained_by) for one in results)
    parts = [
        count(counts[verdict], "warning")
        if verdict == Verdict.WARNING
        else f"{counts[verdict]} {verdict.lower()}"
        for verdict in WORST_FIRST
        if counts[verdict]
    ]
    if explained:
        problems = sum(verdict.is_problem and counts[verdict] > 0 for verdict in Verdict)
        parts.insert(problems, f"{explained} more explained by {'these' if problems > 1 else 'it'}")
    return ", ".join(parts)


def explains(effects: Sequence[Result]) -> str:
    """``explains 9 more: feed.health, feed.home …``; empty if nothing is explained."""
    if not effects:
        return ""
    return f"explains {len(effects)} more: {', '.join(one.check for one in effects)}"


def nagios(run: Run) -> str:
    """Return the plugin's output: a line of status and performance data, then a line per problem.

    https://www.monitoring-plugins.org/doc/guidelines.html; values are in base units and ratios.
    """
    figures = [
        _figure(f"{one.check}.{name}", value)
        for one in sorted(run.results, key=lambda one: one.check)
        for name, value in one.values.items()
    ]
    head = f"CHITLAQ {run.verdict} - {run.routine}: {sentence(run.results)}"
    faults = [
        "; ".join(
            filter(None, (f"{one.verdict} {one.check}: {one.summary}", explains(run.effects(one))))
        ).replace("|", "/")
        for one in run.problems
    ]
    return "\n".join([f"{head} | {' '.join(figures)}" if figures else head, *faults])


def _figure(name: str, value: Value) -> str:
    label = name.replace("'", "").replace("=", "_")
    unit = _NAGIOS_UNITS.get(value.unit, "")
    limits = ""
    if value.warning is not None and value.critical is not None:
        # `10:` means alert below ten, `10` above it.
        end = ":" if value.warning > value.critical else ""
        limits = f";{value.warning:g}{end};{value.critical:g}{end}"
    return f"'{label}'={value.value:.15g}{unit}{limits}"


def markdown(run: Run) -> str:
    """Return a run as a Markdown page: the summary, all results, then each problem in detail."""
    when = f"{run.started_at.astimezone():%Y-%m-%d %H:%M}"
    made = f"{when} on {run.host}, by {run.started_by}, in {run.duration_seconds:.1f} s"
    lines = [
        f"# {run.routine}: {run.verdict}",
        "",
        f"{made}: {sentence(run.results)}.",
        "",
        "| verdict | check | summary |",
        "|---|---|---|",
        *(row(one) for one in run.results),
    ]
    for one in run.problems:
        lines += ["", f"## {one.title}", "", f"{one.verdict}: {inline(one.summary)}"]
        for note in one.notes:
            lines += ["", inline(note_line(note))]
        lines += ["", f"What to do: {one.remedy}"]
        if effects := run.effects(one):
            lines += ["", f"It {explains(effects)}."]
        for evidence in one.evidence:
            lines += _evidence(evidence)
    return "\n".join(lines) + "\n"


def note_line(note: Note) -> str:
    """``acknowledged by ada: disks come on Friday (24 Nov 09:12)``."""
    how = "noted" if note.kind == "note" else "acknowledged"
    return f"{how} by {note.operator}: {note.text} ({note.created_at.astimezone():%d %b %H:%M})"


def row(one: Result) -> str:
    """Return a result as a row of a Markdown table, with the operators' notes on it."""
    by = [f"explained by {one.explained_by}"] if one.explained_by else []
    found = "<br>".join(cell(text) for text in (one.summary, *by, *map(note_line, one.notes)))
    return f"| {one.verdict} | `{one.check}` | {found} |"


def _evidence(evidence: Evidence) -> list[str]:
    if isinstance(evidence, Table):
        if not evidence.rows:
            return []
        return [
            "",
            f"| {' | '.join(map(cell, evidence.columns))} |",
            "|" + "---|" * len(evidence.columns),
            *(f"| {' | '.join(map(cell, row))} |" for row in evidence.rows),
        ]
    if isinstance(evidence, Lines):
        return ["", *(f"    {line}" for line in evidence.lines)]
    assert isinstance(evidence, TimeSeries)
    return []


def cell(text: str) -> str:
    """Escape text so that it stays within its table cell."""
    return inline(text).replace("|", "\\|")


def inline(text: str) -> str:
    """Escape text so that Markdown shows it verbatim on one line."""
    for mark in ("\\", "`", "*", "_", "<", "["):
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
