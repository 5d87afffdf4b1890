"""The tables of the benchmark of search for a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from chitlaq.bench.report import new_table, verdict
from chitlaq.bench.search import Mix, Report

AIM_PEER_CPU = 1.5
AIM_P95 = {"members": 20.0, "posts": 30.0, "suggest": 8.0}


def rendered(report: Report) -> RenderableType:
    """Return the tables, with the target next to each figure."""
    said = (
        f"{report.members:,} members, {report.posts:,} posts, seeded in {report.seed_seconds:,.0f} s;"
        f" indexed anew in {report.index_seconds:,.1f} s;"
        f" search-service takes {report.service_megabytes:g} MB; {report.cores} cores;"
        f" load average before: {report.load_average:.1f}"
    )
    if report.peer_megabytes is not None:
        said += f"; Typesense takes {report.peer_megabytes:g} MB"
    return Group(
        Text(said),
        _kinds(report),
        _mixes(report),
        _plain(report),
        _sizes(report),
    )


def _kinds(report: Report) -> Table:
    rows = new_table(
        "members, by kind of query", "found", "CPU, µs", "per second", "Typesense: found", "CPU, µs", ""
    )  # fmt: skip
    for kind in report.kinds:
        if kind.peer_found is None or kind.peer_microseconds is None:
            beside = ["", "", ""]
        else:
            ratio = kind.microseconds / kind.peer_microseconds
            is_met = kind.found >= kind.peer_found and ratio <= AIM_PEER_CPU
            beside = [
                f"{kind.peer_found:.0%}",
                f"{kind.peer_microseconds:,.0f}",
                f"{verdict(is_met)} {ratio:.2f} of {AIM_PEER_CPU:g}",
            ]
        rows.add_row(
            kind.name,
            f"{kind.found:.0%}",
            f"{kind.microseconds:,.0f}",
            f"{kind.per_second:,.0f}",
            *beside,
        )
    return rows


def _mixes(report: Report) -> Table:
    rows = new_table(
        "as members search", "per second", "CPU, µs", "at half: p50 ms", "p95 ms", "p99 ms", "aim"
    )
    for mix in report.mixes:
        aim = AIM_P95[mix.name]
        rows.add_row(
            mix.name,
            f"{mix.per_second:,.0f}",
            f"{sum(mix.microseconds.values()):,}",
            f"{mix.half_p50:.1f}",
            f"{mix.half_p95:.1f}",
            f"{mix.half_p99:.1f}",
            f"{verdict(mix.half_p95 < aim)} p95 under {aim:g} ms",
        )
        rows.add_row(f"  {_by_component(mix)}")
    return rows


def _by_component(mix: Mix) -> str:
    return ", ".join(f"{name} {spent:,}" for name, spent in mix.microseconds.items())


def _plain(report: Report) -> Table:
    rows = new_table("without search's indexes", "a query, ms")
    for name, milliseconds in report.plain_milliseconds.items():
        rows.add_row(name, f"{milliseconds:,.1f}")
    return rows


def _sizes(report: Report) -> Table:
    rows = new_table("what search adds", "MB", "an insert, µs", "without, µs", "ratio")
    for name, size in report.index_bytes.items():
        rows.add_row(name, f"{size / 1e6:,.1f}")
    for cost in report.inserts:
        rows.add_row(
            f"a row of {cost.table}",
            "",
            f"{cost.with_search:,.0f}",
            f"{cost.without:,.0f}",
            f"{cost.with_search / cost.without:.2f}",
        )
    return rows
