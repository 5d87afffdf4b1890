"""The components' processes: what they take, and which versions of ChitLaq they run."""

from __future__ import annotations

import asyncio
import re
from typing import NamedTuple

from chitlaq import inventory
from chitlaq.core.errors import NotApplicable, UnknownResult
from chitlaq.core.formatting import share, size
from chitlaq.ops.checks.model import (
    CheckOutcome,
    Section,
    Table,
    Value,
    Verdict,
    check,
    outcome,
)
from chitlaq.ops.checks.sources.judged_by import JUDGED_BY
from chitlaq.ops.checks.sources.system import SystemView
from chitlaq.stack import containers
from chitlaq.stack.supervisor import control, resource_usage


@check(
    "services.resources",
    "Resource usage",
    section=Section.SERVICES,
    looks_at="the processes of each component, for half a second; in containers, what each service says of"
    " its own memory",
    commands=("chitlaq stats",),
    remedy="Restart what has grown (`chitlaq restart SERVICE`), and see `memory.growth`.",
    is_heavy=True,
)
async def resources(system: SystemView) -> CheckOutcome:
    if containers.are_used(system.home):
        return await _in_containers(system)
    statuses = await system.statuses()
    rows = await system.blocking(lambda: resource_usage.measure(statuses))
    if not rows:
        raise UnknownResult("no process is running")
    total = resource_usage.total(rows)
    largest = max(rows, key=lambda row: row.memory_bytes)
    return outcome(
        f"{size(total.memory_bytes)} of memory in total, {largest.service} the largest with"
        f" {size(largest.memory_bytes)}; {total.cpu_percent:.0f} % of a core",
        {
            "largest": Value(
                largest.memory_bytes, "bytes", *system.thresholds.component_memory_bytes
            ),
            "memory": Value(total.memory_bytes, "bytes"),
            "cpu": Value(total.cpu_percent / 100, "ratio"),
        },
        Table(
            "components",
            ["service", "cpu", "memory", "processes", "restarts"],
            [
                [
                    r.service,
                    f"{r.cpu_percent:.1f} %",
                    size(r.memory_bytes),
                    str(r.processes),
                    str(r.restarts),
                ]
                for r in rows
            ],
        ),
    )


@check(
    "services.versions",
    "Versions",
    section=Section.SERVICES,
    looks_at="the version of ChitLaq of each process, and the supervisor's",
    commands=("chitlaq ps",),
    remedy="If the services differ among themselves: run `chitlaq upgrade` again, with the program of the"
    " version that is wanted. Then let what starts ChitLaq name that program (`chitlaq install systemd"
    " --write`), and at a quiet hour run `chitlaq down` with the old program and `chitlaq up` with the new"
    " one: until then a start brings the supervisor's version.",
)
async def versions(system: SystemView) -> CheckOutcome:
    if containers.are_used(system.home):
        raise NotApplicable(
            "each container has the version of its image, and no supervisor another"
        )
    await system.statuses()
    found = await system.blocking(lambda: control.versions(system.home))
    if not (found.supervisor and found.services):
        raise UnknownResult("the supervisor does not say its version, or runs no service")
    among = sorted(set(found.services.values()))
    said = f"the services run {' and '.join(among)}, the supervisor {found.supervisor}"
    if found.step:
        said = f"an upgrade is going on: {found.step}"
    elif not found.others:
        said = f"all run {found.supervisor}"
    return outcome(
        said,
        {"different": Value(len(found.others))},
        Table("versions", ["process", "version"], [list(one) for one in found.services.items()]),
        least=Verdict.WARNING if found.others and not found.step else Verdict.OK,
    )


class _Memory(NamedTuple):
    """What a service says of its memory, in bytes; its container may have no limit."""

    service: str
    used: float
    limit: float | None
    available: float | None


async def _in_containers(system: SystemView) -> CheckOutcome:
    """Judge what each service says of itself: no container sees the processes of another."""
    elsewhere = "the container engine has the rest: `chitlaq stats`"
    try:
        found = await asyncio.gather(*(_memory(system, row.name) for row in inventory.SERVICES))
    except UnknownResult as error:
        raise UnknownResult(f"{error}; {elsewhere}", error.judged_by) from None
    largest = max(found, key=lambda one: one.used)
    thresholds = system.thresholds
    values = {
        "largest": Value(largest.used, "bytes", *thresholds.component_memory_bytes),
        "memory": Value(sum(one.used for one in found), "bytes"),
    }
    said = f"{size(values['memory'].value)} of memory in the {len(found)} services, {largest.service} the"
    said += f" largest with {size(largest.used)}"
    left = {
        one.service: one.available / one.limit
        for one in found
        if one.limit and one.available is not None
    }
    if left:
        service = min(left, key=lambda one: left[one])
        values["available"] = Value(left[service], "ratio", *thresholds.memory_available_ratio)
        said += f"; {service} has the least left of its limit, {share(left[service])}"
    return outcome(
        f"{said}; servers and CPU time no container sees, {elsewhere}",
        values,
        Table(
            "services",
            ["service", "memory", "limit", "available"],
            [
                [one.service, size(one.used), *("" if b is None else size(b) for b in one[2:])]
                for one in found
            ],
        ),
    )


async def _memory(system: SystemView, service: str) -> _Memory:
    """Return what a service says of its memory.

    Raises:
        UnknownResult: it does not answer, or does not say.
    """
    text = (await system.get(service, "/metrics")).text
    found = {
        name: float(number)
        for name, number in re.findall(
            rf'^service_memory_(?:(\w+)_)?bytes{{service="{re.escape(service)}"}} (\S+)$',
            text,
            re.MULTILINE,
        )
    }
    if "" not in found:
        raise UnknownResult(f"{service} does not say how much memory it has", JUDGED_BY[service])
    return _Memory(service, found[""], found.get("limit"), found.get("available"))
