"""Per-process metrics: event-loop lag, pool saturation, memory."""

from __future__ import annotations

import asyncio

import psutil

from chitlaq.core.host import limits
from chitlaq.core.http.service import Context
from chitlaq.core.telemetry import metric_files, metrics

PERIOD_SECONDS = 1.0


async def watch(context: Context) -> None:
    """Measure every second for as long as the process serves.

    The lag is how much too long `asyncio.sleep` slept: every request waited as long.
    """
    loop = asyncio.get_running_loop()
    lag = metrics.EVENT_LOOP_LAG.labels(context.service)
    while True:
        wanted = loop.time() + PERIOD_SECONDS
        await asyncio.sleep(PERIOD_SECONDS)
        lag.observe(max(0.0, loop.time() - wanted))
        note_pool(context)
        note_memory(context.service)
        metric_files.settle()


def note_pool(context: Context) -> None:
    """Set the gauges of this process's connections; a scrape adds up those of all processes."""
    opened, idle = context.database.connections
    pool = metrics.POSTGRESQL_POOL_CONNECTIONS
    pool.labels(context.service, "idle").set(idle)
    pool.labels(context.service, "used").set(opened - idle)
    metrics.POSTGRESQL_POOL_WAITING.labels(context.service).set(context.database.waiting)


def note_memory(service: str) -> None:
    """Set the gauge of this process's memory."""
    metrics.SERVICE_MEMORY.labels(service).set(psutil.Process().memory_info().rss)


def note_limit(service: str) -> None:
    """Set the gauges of what this process's control group may use; none where that is the machine's memory.

    Only the process itself sees them: another container's are hidden from everybody else.
    """
    found = limits.memory()
    if found.group:
        metrics.SERVICE_MEMORY_LIMIT.labels(service).set(found.total)
        metrics.SERVICE_MEMORY_AVAILABLE.labels(service).set(found.available)
