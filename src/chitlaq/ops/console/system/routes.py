"""The screens Services, Routines, Backups and Capacity. Each panel says for itself when it cannot look."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from litestar import Response

from chitlaq.backups.catalog import status as backup_status
from chitlaq.backups.context import BackupContext
from chitlaq.core.errors import OperatorError
from chitlaq.core.formatting import quantity
from chitlaq.core.http import problems
from chitlaq.ops.checks import runner
from chitlaq.ops.checks.model import Lines, Table, TimeSeries, Verdict
from chitlaq.ops.checks.registry import CHECKS
from chitlaq.ops.checks.runner import Result, Run
from chitlaq.ops.checks.sources.system import SystemView
from chitlaq.ops.console.pages import ConsoleRequest, looked, page, screen
from chitlaq.ops.history import run_diff, run_history
from chitlaq.ops.history.run_history import RunSummary
from chitlaq.ops.report.plots import Plot, plot
from chitlaq.ops.routines import ROUTINES, Routine, with_notes_if_available
from chitlaq.ops.schedule import scheduler
from chitlaq.ops.state import OpsState
from chitlaq.stack.install import preflight
from chitlaq.stack.supervisor import control, resource_usage

MEASURE_SECONDS = 2.5
"""How long what is measured for a screen may take: the memory of all processes, forecasts."""
PROGRAMS_SECONDS = 20.0
LISTED_RUNS = 20
CAPACITY = tuple(
    one for one in CHECKS.values() if one.id.startswith("capacity.") or one.id == "growth.members"
)


# --- services


@screen("/ops/services")
async def services(request: ConsoleRequest, state: OpsState) -> Response[str]:
    statuses = await looked(asyncio.to_thread(control.ask, state.context.home, control.Ps()))
    known = statuses if isinstance(statuses, list) else []
    memory = await looked(asyncio.to_thread(resource_usage.memory, known), MEASURE_SECONDS)
    return page(request, "services.html", statuses=statuses, memory=memory)


@screen("/ops/services/programs")
async def programs(request: ConsoleRequest, state: OpsState) -> Response[str]:
    """A page of its own: the distribution is asked for newer versions, which takes seconds."""
    home, settings = state.context.home, state.context.settings
    statuses = await looked(asyncio.to_thread(control.ask, home, control.Ps()))
    known = statuses if isinstance(statuses, list) else []
    reports = asyncio.to_thread(preflight.server_programs, home, settings, known)
    return page(request, "programs.html", programs=await looked(reports, PROGRAMS_SECONDS))


# --- routines


@dataclass(frozen=True, slots=True)
class RoutineView:
    """A routine, its last run, and when it is due; without a schedule, never."""

    routine: Routine
    last: RunSummary | None
    next_at: datetime | None


@screen("/ops/routines")
async def routines(request: ConsoleRequest, state: OpsState) -> Response[str]:
    return page(
        request,
        "routines.html",
        routines=await looked(_routines(state)),
        runs=await looked(run_history.listed(state.operations, None, LISTED_RUNS)),
    )


async def _routines(state: OpsState) -> list[RoutineView]:
    settings, now = state.context.settings.operations, datetime.now(UTC)
    where = scheduler.zone(settings)
    due = {
        one.routine: scheduler.next_due(one, now, where)
        for one in scheduler.recurrences(settings)
        if settings.scheduled
    }
    found = []
    for routine in ROUTINES.values():
        last = await run_history.listed(state.operations, routine.name, 1)
        found.append(RoutineView(routine, last[0] if last else None, due.get(routine.name)))
    return found


@screen("/ops/routines/runs/{identifier:uuid}")
async def routine_run(request: ConsoleRequest, state: OpsState, identifier: UUID) -> Response[str]:
    run = await run_history.find(state.operations, str(identifier))
    if run is None:
        raise problems.not_found("run")
    run = await with_notes_if_available(state.operations, run)
    return page(
        request,
        "routine_run.html",
        run=run,
        results=[_view(one) for one in run.results],
        changes=await looked(_changes(state, run)),
        counts={one: sum(r.verdict == one for r in run.results) for one in Verdict},
    )


async def _changes(state: OpsState, run: Run) -> list[run_diff.VerdictChange]:
    """What changed since the run of the same routine before this one.

    Raises:
        OperatorError: there is none.
    """
    before = await run_history.before(state.operations, run)
    if before is None:
        raise OperatorError(f"no earlier run of {run.routine} is recorded")
    return run_diff.compare(before, run)


@dataclass(frozen=True, slots=True)
class ResultView:
    """A result with its evidence by kind."""

    result: Result
    values: list[tuple[str, str, Verdict]]
    tables: list[Table]
    lines: list[Lines]
    plots: list[Plot]


def _view(result: Result) -> ResultView:
    evidence = result.evidence
    drawn = [plot(one) for one in evidence if isinstance(one, TimeSeries)]
    return ResultView(
        result,
        [(name, quantity(one.value, one.unit), one.verdict) for name, one in result.values.items()],
        [one for one in evidence if isinstance(one, Table) and one.rows],
        [one for one in evidence if isinstance(one, Lines) and one.lines],
        [one for one in drawn if one],
    )


# --- backups


@screen("/ops/backups")
async def backups(request: ConsoleRequest, state: OpsState) -> Response[str]:
    context = BackupContext(state.context.home, state.context.settings)
    settings, now = state.context.settings, datetime.now(UTC)
    next_at = None
    if settings.operations.scheduled:
        with suppress(OperatorError):
            daily = scheduler.parse("at", settings.backups.at, "backups")
            next_at = scheduler.next_due(daily, now, scheduler.zone(settings.operations))
    return page(
        request,
        "backups.html",
        found=await looked(asyncio.to_thread(backup_status.read, context), MEASURE_SECONDS),
        next_at=next_at,
        settings=settings.backups,
    )


# --- capacity


@screen("/ops/capacity")
async def capacity(request: ConsoleRequest, state: OpsState) -> Response[str]:
    return page(
        request,
        "capacity.html",
        results=await looked(_capacity(state), MEASURE_SECONDS),
    )


async def _capacity(state: OpsState) -> list[ResultView]:
    system = SystemView(state.context.home, state.context.settings)
    try:
        found = await asyncio.gather(*(runner.judge(one, system) for one in CAPACITY))
    finally:
        await system.close()
    return [_view(one) for one in found]
