"""Capacity: a forecast with its confidence band for everything that can fill up, and growth."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil

from chitlaq.core.errors import NotApplicable, UnknownResult
from chitlaq.core.formatting import duration, size
from chitlaq.core.host import file_systems
from chitlaq.core.installation.settings import Threshold
from chitlaq.ops.checks.forecast import Forecast, until
from chitlaq.ops.checks.model import (
    CheckOutcome,
    Section,
    Table,
    TimeSeries,
    Value,
    Verdict,
    check,
    outcome,
)
from chitlaq.ops.checks.sources.prometheus import Range, promql, where
from chitlaq.ops.checks.sources.system import SystemView

PAST_SECONDS = 14 * 86_400.0
STEP_SECONDS = 3600.0
LEAK_RATIO = 0.2
"""Daily growth of a process, relative to its size, above which it is taken for a leak."""
LEAK_BYTES = 50_000_000


def _points(found: Range) -> list[tuple[float, float]]:
    return [(at, float(value)) for at, value in found.values if math.isfinite(float(value))]


def _said(forecast: Forecast) -> str:
    if forecast.days is None:
        return forecast.reason
    if forecast.latest == 0:
        return "full"
    latest = f"{forecast.latest:.0f}" if forecast.latest is not None else "never"
    return f"full in {forecast.days:.0f} days ({forecast.earliest:.0f} to {latest})"


def _judge(
    rows: Sequence[tuple[str, Forecast, str]], threshold: Threshold, series: Sequence[TimeSeries]
) -> CheckOutcome:
    """Report which of several things is full first.

    Args:
        rows: (name, forecast, formatted growth per day).
        threshold: days left.
        series: past samples, as evidence.
    """
    known = {name: one.days for name, one, _ in rows if one.days is not None}
    short = [one.reason for _, one, _ in rows if one.reason.startswith("only")]
    if not known and len(short) == len(rows):
        raise NotApplicable(f"no forecast yet: {short[0]}")
    if known:
        name, forecast = min(
            ((name, one) for name, one, _ in rows if one.days is not None),
            key=lambda pair: pair[1].days or 0.0,
        )
        said = f"{name}: {_said(forecast)}"
    else:
        said = f"{rows[0][0]}: {_said(rows[0][1])}" if len(rows) == 1 else "nothing fills up"
    return outcome(
        said,
        {f"days {name}": Value(days, "days", *threshold) for name, days in known.items()},
        Table(
            "forecasts",
            ["what", "forecast", "growth per day", "explained"],
            [[name, _said(one), growth, f"{one.explained:.0%}"] for name, one, growth in rows],
        ),
        *series,
    )


@check(
    "capacity.disk",
    "Days until disks are full",
    section=Section.CHECKLIST,
    looks_at="node_filesystem_avail_bytes over 14 days, per file system",
    commands=(promql("node_filesystem_avail_bytes"),),
    remedy="Grow the disk before the earliest day; until then: `chitlaq ops do prune`.",
    timeout_seconds=10.0,
)
async def disks(system: SystemView) -> CheckOutcome:
    used = f"node_filesystem_size_bytes{{{file_systems.SELECTOR}}} - node_filesystem_avail_bytes"
    sizes = {
        _file_system(one.metric): one.number
        for one in await system.prometheus.query(
            f"node_filesystem_size_bytes{{{file_systems.SELECTOR}}}"
        )
    }
    # A device that is mounted twice counts once; machines of a site have devices of the same names.
    found = {
        (one.metric.get("instance"), one.metric["device"]): one
        for one in await system.prometheus.range(used, PAST_SECONDS, STEP_SECONDS)
    }
    if not found:
        raise UnknownResult("Prometheus has no samples of file systems")
    rows, series = [], []
    every = [one.metric for one in found.values()]
    for one in found.values():
        forecast = until(_points(one), sizes.get(_file_system(one.metric), math.inf))
        name = one.metric["mountpoint"] + where(one.metric, every)
        rows.append((name, forecast, f"{size(forecast.per_day)}"))
        series.append(TimeSeries(f"used on {name}", "bytes", one.points))
    return _judge(rows, system.thresholds.days_until_full, series)


def _file_system(metric: dict[str, str]) -> tuple[str | None, str, str]:
    return metric.get("instance"), metric["device"], metric["mountpoint"]


async def _fills(
    system: SystemView, what: str, used: str, limit: float, *, is_bytes: bool
) -> CheckOutcome:
    """Forecast one thing from its series."""
    found = await system.prometheus.range(used, PAST_SECONDS, STEP_SECONDS)
    if not found:
        raise UnknownResult(f"Prometheus has no samples for {used}")
    forecast = until(_points(found[0]), limit)
    growth = size(forecast.per_day) if is_bytes else f"{forecast.per_day:.3g}"
    series = TimeSeries(what, "bytes" if is_bytes else "", found[0].points)
    return _judge([(what, forecast, growth)], system.thresholds.days_until_full, [series])


USED = "node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes"
LIMITED = "memory_limit_bytes - memory_limit_available_bytes"


@check(
    "capacity.memory",
    "Days until memory is full",
    section=Section.CHECKLIST,
    looks_at=f"{USED}, over 14 days, relative to node_memory_MemTotal_bytes; of a control group that limits"
    " the services, memory_limit_bytes",
    commands=(promql(USED), promql("node_memory_MemTotal_bytes")),
    remedy="Find what grows (`memory.growth`), then restart it or add memory.",
    timeout_seconds=10.0,
)
async def memory(system: SystemView) -> CheckOutcome:
    with suppress(UnknownResult):
        limit = await system.prometheus.number("memory_limit_bytes")
        return await _fills(system, "the services' memory", LIMITED, limit, is_bytes=True)
    sizes = {
        one.metric.get("instance"): one.number
        for one in await system.prometheus.query("node_memory_MemTotal_bytes")
    }
    found = await system.prometheus.range(USED, PAST_SECONDS, STEP_SECONDS)
    if not found:
        raise UnknownResult(f"Prometheus has no samples for {USED}")
    rows, series = [], []
    every = [one.metric for one in found]
    for one in found:
        forecast = until(_points(one), sizes.get(one.metric.get("instance"), math.inf))
        name = f"memory in use{where(one.metric, every)}"
        rows.append((name, forecast, size(forecast.per_day)))
        series.append(TimeSeries(name, "bytes", one.points))
    return _judge(rows, system.thresholds.days_until_full, series)


CONNECTIONS, MOST = "sum(postgresql_connections_active)", "postgresql_connections_max"


@check(
    "capacity.connections",
    "Days until connections run out",
    section=Section.CHECKLIST,
    looks_at=f"{CONNECTIONS}, over 14 days, relative to {MOST}",
    commands=(promql(CONNECTIONS), promql(MOST)),
    remedy="Raise max_connections, lower the number of workers, or add a connection pooler.",
    timeout_seconds=10.0,
)
async def connections(system: SystemView) -> CheckOutcome:
    limit = await system.prometheus.number(MOST)
    return await _fills(system, "connections to PostgreSQL", CONNECTIONS, limit, is_bytes=False)


DATABASE = "sum(postgresql_database_size_bytes)"
TABLES = "sum by (table) (postgresql_table_size_bytes)"
SHOWN_TABLES = 3


@check(
    "capacity.database",
    "Days until the database fills its disk",
    section=Section.CHECKLIST,
    looks_at=f"{DATABASE}, over 14 days, relative to the free space on the disk of CHITLAQ_HOME/postgres",
    commands=(promql(DATABASE), "df -h $CHITLAQ_HOME/postgres"),
    remedy="Grow the disk before the earliest day; `database.size` shows what is large.",
    timeout_seconds=10.0,
)
async def database(system: SystemView) -> CheckOutcome:
    # Its own size, plus the free space.
    limit = await system.prometheus.number(DATABASE) + await _room(system)
    return await _fills(system, "the database", DATABASE, limit, is_bytes=True)


@check(
    "capacity.tables",
    "Days until a single table fills the disk",
    section=Section.CHECKLIST,
    looks_at=f"{TABLES}, over 14 days, relative to the free space on the disk of CHITLAQ_HOME/postgres",
    commands=(promql(TABLES), "df -h $CHITLAQ_HOME/postgres"),
    remedy="By this the database grows. Messages and posts stay, so grow the disk; other tables should not"
    " grow: see `database.dead_rows` and `chitlaq jobs list`.",
    timeout_seconds=10.0,
)
async def tables(system: SystemView) -> CheckOutcome:
    room = await _room(system)
    found = await system.prometheus.range(TABLES, PAST_SECONDS, STEP_SECONDS)
    if not found:
        raise UnknownResult(f"Prometheus has no samples for {TABLES}")
    rows, series = [], []
    for one in found:
        name, points = one.metric["table"], _points(one)
        forecast = until(points, points[-1][1] + room if points else math.inf)
        rows.append((name, forecast, size(forecast.per_day)))
        series.append(TimeSeries(name, "bytes", one.points))
    rows.sort(key=lambda row: -row[1].per_day)
    fastest = {name for name, *_ in rows[:SHOWN_TABLES]}
    return _judge(
        rows, system.thresholds.days_until_full, [one for one in series if one.title in fastest]
    )


async def _room(system: SystemView) -> float:
    """Return the free bytes of the disk that has the database.

    Raises:
        NotApplicable: it is on another machine.
        UnknownResult: Prometheus cannot tell.
    """
    if not system.settings.embeds("postgres"):
        raise NotApplicable(
            "the database is on another machine (DATABASE_URL), whose disk is not visible here"
        )
    mount = await system.blocking(partial(_mount_of, system.home.postgres_data))
    free = await system.prometheus.query(
        f"node_filesystem_avail_bytes{{mountpoint={json.dumps(mount)}}}"
    )
    machines = {one.metric.get("instance", "") for one in free}
    if len(machines) > 1:
        raise UnknownResult(
            f"Prometheus has {mount} of {len(machines)} machines and cannot tell which of them this is"
        )
    return free[0].number


def _mount_of(path: Path) -> str:
    """Return the mount point of a path, as node-exporter names it."""
    mounts = {one.mountpoint for one in psutil.disk_partitions(all=True)}
    place = path.resolve()
    return next((str(one) for one in (place, *place.parents) if str(one) in mounts), "/")


@check(
    "memory.growth",
    "Memory growth over days",
    section=Section.HOST,
    looks_at="component_memory_bytes over 14 days",
    commands=(promql("component_memory_bytes"), "chitlaq stats"),
    remedy="Restart it (`chitlaq restart SERVICE`), and report the leak with the output of"
    " --details.",
    timeout_seconds=10.0,
)
async def growth_of_memory(system: SystemView) -> CheckOutcome:
    found = await system.prometheus.range("component_memory_bytes", PAST_SECONDS, STEP_SECONDS)
    if not found:
        raise UnknownResult("Prometheus has no samples for component_memory_bytes")
    rows, leaks, short = [], [], []
    for one in found:
        name, points = one.metric["component"], _points(one)
        forecast = until(points, math.inf)
        now = points[-1][1] if points else 0.0
        if forecast.reason.startswith("only"):
            short.append(forecast.reason)
        is_steady_growth = forecast.explained >= 0.7 and forecast.per_day > 0
        if is_steady_growth and forecast.per_day > max(LEAK_RATIO * now, LEAK_BYTES):
            leaks.append(name)
        rows.append(
            [name, size(now), f"{size(forecast.per_day)} per day", f"{forecast.explained:.0%}"]
        )
    if len(short) == len(rows):
        raise NotApplicable(f"no forecast yet: {short[0]}")
    return outcome(
        f"steady growth: {', '.join(leaks)}" if leaks else "no steady growth",
        {"growing": Value(len(leaks))},
        Table("components", ["component", "now", "growth", "explained"], rows),
        least=Verdict.WARNING if leaks else Verdict.OK,
    )


TESTED = {"members": 100_000, "posts": 1_000_000}
"""Sizes at which ChitLaq was benchmarked (docs/benchmarks.md)."""
MESSAGES = "chat_messages"


@check(
    "growth.members",
    "Growth",
    section=Section.MAINTENANCE,
    looks_at="members, posts and messages in PostgreSQL, in total and of the last 30 days",
    commands=(promql("increase(user_registrations_total[30d])"), promql(MESSAGES)),
    remedy="Beyond the tested size: run `chitlaq seed` with that size on another machine, and benchmark it.",
)
async def growth(system: SystemView) -> CheckOutcome:
    (row,) = await system.postgres.rows("growth")
    totals = {name: float(row[name]) for name in ("members", "posts", "messages")}
    months = {"members": float(row["members_month"]), "posts": float(row["posts_month"])}
    # To count a month of messages would take PostgreSQL many seconds.
    with suppress(UnknownResult):
        before = await system.prometheus.number(f"min(min_over_time({MESSAGES}[30d]))")
        months["messages"] = max(totals["messages"] - before, 0.0)
    values, rows, said = {}, [], []
    for name, total in totals.items():
        values[name] = Value(total)
        month = months.get(name)
        if month is not None:
            values[f"{name} within 30 days"] = Value(month)
        tested = TESTED.get(name)
        left = ""
        if tested is not None:
            values[f"{name} of tested"] = Value(total / tested, "ratio", *(0.8, 1.0))
            left = _time_until(tested, total, month or 0.0)
        new = "unknown" if month is None else f"{month:,.0f}"
        rows.append([name, f"{total:,.0f}", new, f"{tested:,}" if tested else "", left])
        said.append(f"{total:,.0f} {name}, {new} of them new within 30 days")
    return outcome(
        "; ".join(said),
        values,
        Table("growth", ["what", "now", "30 days", "tested with", "time until then"], rows),
    )


def _time_until(tested: float, total: float, month: float) -> str:
    """Say how long the growth of a month takes to a size."""
    if total >= tested:
        return "beyond"
    days = (tested - total) / (month / 30) if month else math.inf
    return duration(days * 86_400) if days < 1e5 else "no limit"
