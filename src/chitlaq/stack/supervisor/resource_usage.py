"""CPU and memory of the components, over all processes of each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

import msgspec
import psutil

from chitlaq.core.host import processes
from chitlaq.stack.supervisor.control import Status

WINDOW_SECONDS = 0.5


class Usage(msgspec.Struct, frozen=True):
    """One component: CPU in per cent of one core, memory as proportional set size."""

    service: str
    cpu_percent: float
    memory_bytes: int
    processes: int
    restarts: int
    uptime: int


def measure(statuses: Sequence[Status]) -> list[Usage]:
    """Measure each component's processes twice, a moment apart."""
    families = {one.name: _family(one.pid) for one in statuses if one.pid is not None}
    running = [status for status in statuses if status.name in families]
    before = {name: _cpu_seconds(family) for name, family in families.items()}
    time.sleep(WINDOW_SECONDS)
    rows = []
    for status in running:
        family = families[status.name]
        used = _cpu_seconds(family) - before[status.name]
        rows.append(
            Usage(
                status.name,
                round(max(used, 0) / WINDOW_SECONDS * 100, 1),
                sum(_memory(process) for process in family),
                len(family),
                status.restarts,
                status.uptime,
            )
        )
    return rows


def memory(statuses: Sequence[Status]) -> dict[str, int]:
    """Return the bytes that each component holds, over all its processes."""
    held: dict[str, int] = {}
    for status in statuses:
        if status.pid is not None:
            bytes_ = sum(_memory(process) for process in _family(status.pid))
            held[status.service] = held.get(status.service, 0) + bytes_
    return held


def total(rows: Sequence[Usage]) -> Usage:
    return Usage(
        "total",
        round(sum(row.cpu_percent for row in rows), 1),
        sum(row.memory_bytes for row in rows),
        sum(row.processes for row in rows),
        sum(row.restarts for row in rows),
        max((row.uptime for row in rows), default=0),
    )


def _family(pid: int) -> list[psutil.Process]:
    found = []
    for one in processes.family(pid):
        with suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(one))
    return found


def _cpu_seconds(family: Sequence[psutil.Process]) -> float:
    seconds = 0.0
    for process in family:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        seconds += times.user + times.system
    return seconds


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
