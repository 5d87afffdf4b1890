"""What the runbook's routines cost: their own time, and latency for members while one runs."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable
from statistics import median
from time import perf_counter

import msgspec

from chitlaq.bench.installation import Installation
from chitlaq.bench.load import Load, measure
from chitlaq.ops.routines import ROUTINES
from chitlaq.ops.schedule.scheduler import NICENESS

ROUNDS = 4
SECONDS = 4.0
# A few members at a time; many at once would measure queueing.
CONNECTIONS = 4
FOUND_SOMETHING = 3
NAME = "morning"


class RoutineCost(msgspec.Struct, frozen=True):
    """One run of a routine as the scheduler starts it; ``cpu_seconds`` is of its process."""

    routine: str
    checks: int
    wall_seconds: float
    cpu_seconds: float


class Noticed(msgspec.Struct, frozen=True):
    """95th percentile of the home feed in milliseconds, alone and while a routine runs."""

    alone: float
    beside: float
    ratio: float
    """The median over the rounds of ``beside`` to ``alone``."""


async def costs(installation: Installation) -> list[RoutineCost]:
    """Run each routine once."""
    return [await _cost(installation, name) for name in ROUTINES]


async def noticed(
    installation: Installation, requests: list[str], say: Callable[[str], None]
) -> Noticed:
    """Alternate between the feed alone and the feed while a routine runs repeatedly."""
    load = Load(
        "127.0.0.1", installation.settings.port_of("api-gateway"), requests, CONNECTIONS, SECONDS
    )
    alone, beside = [], []
    for number in range(ROUNDS):
        say(f"the feed alone and during a routine, round {number + 1} of {ROUNDS}")
        alone.append((await measure(load)).p95)
        routine = asyncio.create_task(_again_and_again(installation))
        beside.append((await measure(load)).p95)
        routine.cancel()
        await asyncio.gather(routine, return_exceptions=True)
    ratios = [with_it / without for with_it, without in zip(beside, alone, strict=True)]
    return Noticed(median(alone), median(beside), round(median(ratios), 2))


async def _again_and_again(installation: Installation) -> None:
    while True:
        await _run(installation, NAME)


async def _cost(installation: Installation, name: str) -> RoutineCost:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    await _run(installation, name)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return RoutineCost(
        name, len(ROUTINES[name].checks), round(perf_counter() - started, 2), round(cpu, 2)
    )


async def _run(installation: Installation, name: str) -> None:
    """Run a routine as the scheduler does: at low priority.

    Raises:
        OperatorError: it failed; the message quotes its output.
    """
    result = await installation.run("ops", name, "--json", "--as", "bench", niceness=NICENESS)
    if result.code != FOUND_SOMETHING:
        result.checked()
