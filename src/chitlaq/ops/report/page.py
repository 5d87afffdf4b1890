"""The report page: what needs attention, what changed, the day in charts, then every result."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import jinja2
import msgspec
from markupsafe import Markup, escape

from chitlaq.core.installation.settings import Settings
from chitlaq.ops.checks.model import Lines, Table, TimeSeries
from chitlaq.ops.checks.runner import Result, Run
from chitlaq.ops.history import run_diff
from chitlaq.ops.history.run_diff import VerdictChange
from chitlaq.ops.report.plots import Plot, plot
from chitlaq.ops.report.text import explains, inline, note_line, row, sentence

ROUTINE = "evening"
"""The routine whose results the report shows, and after which it is sent."""
SHOWN_ROWS = 10
DAY = "api.day"
"""The check whose summary opens the page, because it covers the day and not only the moment."""

CHAPTERS = {
    "Traffic": ("api.throughput", "websocket.connections"),
    "Errors": ("api.errors", "api.refusals", "nginx.statuses"),
    "Speed": ("api.latency",),
    "Growth": ("growth.members",),
    "Backups": (
        "backup.database", "backup.physical", "backup.archive", "backup.configuration",
        "backup.copies",
    ),
    "Security": (
        "security.logins", "security.ssh_failed", "security.ssh_accepted", "security.bans",
        "security.certificates",
    ),
    "Capacity": (
        "capacity.disk", "capacity.memory", "capacity.connections", "capacity.database",
        "memory.growth",
    ),
    "Alerts": ("alerts.active", "alerts.resolved"),
    "Logs": (
        "gateway.log", "websocket.log", "feed.log", "search.log", "auth.log", "ops.log",
        "database.log", "redis.log",
    ),
}  # fmt: skip


class DailyReport(msgspec.Struct, frozen=True):
    """The content of the page: the evening's run, and what changed since the previous one."""

    run: Run
    changes: list[VerdictChange]
    compared: bool
    title: str
    site: str


def build(run: Run, before: Run | None, settings: Settings) -> DailyReport:
    """Return the report of a run, compared with the previous one if there is one."""
    day = run.started_at.astimezone()
    return DailyReport(
        run,
        run_diff.compare(before, run),
        before is not None,
        f"ChitLaq, {day:%A} {day.day} {day:%B %Y}",
        settings.base_url,
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    """One result in a chapter, with its charts and tables."""

    name: str
    result: Result | None
    plots: tuple[Plot, ...]
    empty: tuple[str, ...]
    """Titles of series without samples, which are mentioned rather than omitted."""
    tables: tuple[Table, ...]


def _chapters(run: Run) -> list[tuple[str, list[_Entry]]]:
    found = {one.check: one for one in run.results}
    return [
        (title, [_entry(name, found.get(name)) for name in names])
        for title, names in CHAPTERS.items()
    ]


def _entry(name: str, result: Result | None) -> _Entry:
    evidence = result.evidence if result else []
    series = [one for one in evidence if isinstance(one, TimeSeries)]
    plots = [(one.title, plot(one)) for one in series]
    return _Entry(
        name,
        result,
        tuple(drawn for _, drawn in plots if drawn is not None),
        tuple(title for title, drawn in plots if drawn is None),
        tuple(one for one in evidence if isinstance(one, Table) and one.rows),
    )


def html(report: DailyReport) -> str:
    """Return the page as one self-contained HTML file."""
    return _template().render(
        report=report,
        run=report.run,
        sentence=sentence(report.run.results),
        day=_day(report.run),
        attention=report.run.problems,
        chapters=_chapters(report.run),
        rows=SHOWN_ROWS,
        lines=_lines,
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["coded"] = _coded
    environment.filters["note_line"] = note_line
    environment.filters["explains"] = explains
    return environment.from_string(
        resources.files(__package__).joinpath("report.html.j2").read_text()
    )


def _day(run: Run) -> Result | None:
    return next((one for one in run.results if one.check == DAY), None)


def _coded(text: str) -> Markup:
    """Mark text between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped


def _lines(result: Result) -> list[Lines]:
    return [one for one in result.evidence if isinstance(one, Lines) and one.lines]


def markdown(report: DailyReport) -> str:
    """Return the same content in Markdown: attention, changes, chapters, then every result."""
    run = report.run
    when = f"{run.started_at.astimezone():%H:%M}"
    day = _day(run)
    told = f"**{day.verdict}** {inline(day.summary)}" if day else "not checked"
    lines = [
        f"# {inline(report.title)}: {run.verdict}",
        "",
        f"{inline(report.site)}, checked at {when} on {inline(run.host)}",
        f"in {run.duration_seconds:.1f} s: {sentence(run.results)}.",
        "",
        f"The day: {told}.",
        "",
        "## Needs attention",
        "",
    ]
    if run.problems:
        lines += [
            "  \n".join(
                (
                    f"- **{one.verdict}** {one.title}: {inline(one.summary)}",
                    *(f"  {inline(note_line(note))}" for note in one.notes),
                    # The remedy is our own text, with commands between backticks.
                    f"  → {one.remedy}",
                    *((f"  It {explains(effects)}.",) if (effects := run.effects(one)) else ()),
                )
            )
            for one in run.problems
        ]
    else:
        lines.append("Nothing.")
    lines += ["", "## What changed", "", *_changed(report)]
    for title, entries in _chapters(run):
        lines += ["", f"## {title}", ""]
        for entry in entries:
            lines += _lines_of(entry)
    lines += ["", "## Everything", "", "| verdict | check | summary |", "|---|---|---|"]
    lines += [row(one) for one in run.results]
    return "\n".join(lines) + "\n"


def _changed(report: DailyReport) -> Sequence[str]:
    if not report.compared:
        return ["There is no earlier run to compare with."]
    if not report.changes:
        return ["No verdict has changed."]
    return [
        f"- {one.title}: {one.before} → **{one.after}**, {inline(one.summary)}"
        for one in report.changes
    ]


def _lines_of(entry: _Entry) -> list[str]:
    if entry.result is None:
        return [f"- `{entry.name}`: not checked"]
    one = entry.result
    return [
        f"- {one.verdict} {one.title}: {inline(one.summary)}",
        *(f"  - {inline(note_line(note))}" for note in one.notes),
        *(f"  - {inline(plot.title)}: {plot.words}" for plot in entry.plots),
    ]
