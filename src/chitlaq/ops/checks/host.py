"""The machine: uptime, load, CPU, memory, clock (the USE method: utilisation, saturation, errors)."""

from __future__ import annotations

import heapq
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import psutil

from chitlaq.core.errors import NotApplicable, UnknownResult
from chitlaq.core.formatting import count, duration, share, size
from chitlaq.core.host import limits
from chitlaq.ops.checks import decisions
from chitlaq.ops.checks.model import CheckOutcome, Section, Table, Value, Verdict, check, outcome
from chitlaq.ops.checks.sources.prometheus import where
from chitlaq.ops.checks.sources.system import SystemView

TOP = 10
WINDOW_SECONDS = 1.0
JUST_BOOTED_SECONDS = 3600.0


@check(
    "host.uptime",
    "Uptime and sessions",
    section=Section.CHECKLIST,
    looks_at="the kernel's boot time and utmp",
    commands=("uptime", "w"),
    remedy="Find out who or what restarted the machine: `last -x | head`, `journalctl -b -1 -e`.",
)
async def uptime(system: SystemView) -> CheckOutcome:
    seconds = time.time() - psutil.boot_time()
    users = await system.blocking(psutil.users)
    rows = [
        [user.name, user.terminal or "", user.host or "", _stamp(user.started)] for user in users
    ]
    return outcome(
        f"up {duration(seconds)}, {count(len(users), 'login session')}",
        {"uptime": Value(seconds, "seconds"), "sessions": Value(len(users))},
        Table("logged-in users", ["user", "terminal", "from", "since"], rows),
        # A machine that was booted for this installation has lost nothing.
        least=Verdict.WARNING
        if seconds < JUST_BOOTED_SECONDS and system.installed_at() < psutil.boot_time()
        else Verdict.OK,
    )


@check(
    "host.load",
    "Load",
    section=Section.HOST,
    looks_at="/proc/loadavg, relative to the number of cores",
    commands=("uptime", "cat /proc/loadavg"),
    remedy="See what is running and what is waiting: `chitlaq ops check host.cpu host.disk_io --details`.",
)
async def load(system: SystemView) -> CheckOutcome:
    one, five, fifteen = os.getloadavg()
    cores = os.cpu_count() or 1
    return outcome(
        f"5-minute load average {five:.2f} on {count(cores, 'core')}",
        {
            "load1": Value(one),
            "load5": Value(five),
            "load15": Value(fifteen),
            "load5_per_core": Value(five / cores, "", *system.thresholds.load_per_core),
        },
    )


@check(
    "host.cpu",
    "CPU",
    section=Section.HOST,
    looks_at="/proc/stat, the quota of the services' control group, and every process, for one second",
    commands=('top -bn1 | grep "Cpu(s)"', "iostat -c 1 5", "ps aux --sort=-%cpu | head -10"),
    remedy="Stop or move what does not belong here. For a busy service: `chitlaq stats`, then its log.",
)
async def cpu(system: SystemView) -> CheckOutcome:
    pid = await _ours(system)
    times, own, of_quota, rows = await system.blocking(partial(_measure_cpu, pid))
    # Exclude the CPU time of this process, in which other checks may be running.
    busy = max(0.0, 1 - (times.idle + getattr(times, "iowait", 0.0)) / 100 - own)
    waiting, stolen = getattr(times, "iowait", 0.0) / 100, getattr(times, "steal", 0.0) / 100
    values = {"iowait": Value(waiting, "ratio"), "steal": Value(stolen, "ratio")}
    said = f"{share(busy)} used, {share(waiting)} waiting for I/O"
    if stolen > 0.05:
        said += f", {share(stolen)} stolen by the hypervisor"
    if of_quota is not None:
        cores, used = of_quota
        said += f"; of the {cores:g} cores that the services may use, {share(used)}"
        values["used_of_quota"] = Value(used, "ratio", *system.thresholds.cpu_used_ratio)
    return outcome(
        said,
        {"used": Value(busy, "ratio", *system.thresholds.cpu_used_ratio)} | values,
        Table("busiest processes", ["process", "user", "cores", "command"], rows),
    )


async def _ours(system: SystemView) -> int | str:
    """Return a process of the services, for the limits that they run under; this one if they do not run."""
    with suppress(UnknownResult):
        return next((one.pid for one in await system.statuses() if one.pid), limits.SELF)
    return limits.SELF


def _measure_cpu(
    pid: int | str,
) -> tuple[psutil._common.scputimes, float, tuple[float, float] | None, list[list[str]]]:  # type: ignore[name-defined]
    """Return CPU times in per cent, this process's share as a ratio, (cores, used ratio) of a quota if there
    is one, and the busiest processes.
    """
    processes = list(_processes())
    before = {process.pid: _cpu_seconds(process) for process in processes}
    cores = limits.cores(pid)
    own, group = time.process_time(), cores.seconds()
    times = psutil.cpu_times_percent(WINDOW_SECONDS)
    own = (time.process_time() - own) / WINDOW_SECONDS / (os.cpu_count() or 1)
    of_quota = None
    if cores.usage is not None:
        of_quota = cores.number, (cores.seconds() - group) / WINDOW_SECONDS / cores.number
    used = [
        (max(_cpu_seconds(process) - before[process.pid], 0) / WINDOW_SECONDS, process)
        for process in processes
    ]
    top = heapq.nlargest(TOP, used, key=lambda pair: pair[0])
    return (
        times,
        own,
        of_quota,
        [_row(process, f"{cores:.2f}") for cores, process in top if cores > 0],
    )


@check(
    "host.memory",
    "Memory",
    section=Section.HOST,
    looks_at="/proc/meminfo, the limit of the services' control group, and the resident set of every process",
    commands=(
        "free -h",
        'cat /proc/meminfo | grep -E "(MemTotal|MemFree|MemAvailable|Buffers|Cached)"',
        "ps aux --sort=-%mem | head -10",
    ),
    remedy="See what is large (--details). Restart what leaks (`chitlaq restart SERVICE`), or add memory.",
    is_heavy=True,
)
async def memory(system: SystemView) -> CheckOutcome:
    state = await system.blocking(partial(limits.memory, await _ours(system)))
    swap = psutil.swap_memory()
    rows = await system.blocking(_largest_processes)
    said = f"{size(state.available)} of {size(state.total)} available"
    if state.group:
        said += f" to the services, by the limit of {state.group}"
    if swap.total:
        said += f", {share(swap.used / swap.total)} of swap used"
    return outcome(
        said,
        {
            "available": Value(
                state.available / state.total, "ratio", *system.thresholds.memory_available_ratio
            ),
            "available_bytes": Value(state.available, "bytes"),
            "total_bytes": Value(state.total, "bytes"),
            "swap_used_bytes": Value(swap.used, "bytes"),
        },
        Table("largest processes", ["process", "user", "resident", "command"], rows),
    )


def _largest_processes() -> list[list[str]]:
    sizes = []
    for process in _processes():
        with suppress(psutil.Error):
            sizes.append((process.memory_info().rss, process))
    return [
        _row(process, size(rss)) for rss, process in heapq.nlargest(TOP, sizes, key=lambda p: p[0])
    ]


@check(
    "host.clock",
    "Clock",
    section=Section.HOST,
    looks_at="node_timex_offset_seconds and node_timex_sync_status",
    commands=("timedatectl status", "chronyc tracking"),
    remedy="Enable time synchronisation: `systemctl enable --now systemd-timesyncd` (or chrony).",
    samples_of=("node-exporter",),
)
async def clock(system: SystemView) -> CheckOutcome:
    offsets = await system.prometheus.query("node_timex_offset_seconds")
    kept = await system.prometheus.query("node_timex_sync_status")
    loose = next((one for one in kept if one.number != 1), None)
    if loose is not None and await decisions.time_service(system):
        raise NotApplicable(f"nothing that this machine knows keeps its clock: {decisions.WHERE}")
    worst = max(offsets, key=lambda one: abs(one.number))
    every = [one.metric for one in offsets]
    return outcome(
        f"{duration(abs(worst.number))} off the reference clock{where(worst.metric, every)}"
        if loose is None
        else f"the clock{where(loose.metric, every)} is not synchronised any more, so it may be off by any"
        " amount",
        {"offset": Value(abs(worst.number), "seconds", *system.thresholds.clock_offset_seconds)},
        least=Verdict.OK if loose is None else Verdict.WARNING,
    )


def _processes() -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            yield process


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _row(process: psutil.Process, figure: str) -> list[str]:
    try:
        # A title is shorter than the arguments that it was written over.
        user, words = process.username(), " ".join(process.cmdline()).strip()
        words = words or f"[{process.name()}]"
    except (psutil.Error, KeyError):
        user, words = "?", "(ended, or owned by another user)"
    width = shutil.get_terminal_size().columns
    return [str(process.pid), user, figure, words[: max(width - 40, 60)]]


def _stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
