"""How much memory and how many cores a process may use: the machine's, or less by its control groups.

In a container or a systemd slice, /proc/meminfo and /proc/stat still show the whole machine. What counts is
the tightest limit from a process's group up to the root (cgroups(7); version 2, version 1, and both at once).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

SELF = "self"


@dataclass(frozen=True, slots=True)
class Memory:
    """What there is, and how much of it could still be used; ``group``: whose limit it is, if it is one."""

    total: int
    available: int
    group: str = ""


@dataclass(frozen=True, slots=True)
class Cores:
    """How many a process may use at once; ``group``: whose limit that is, if it is not the machine's.

    Args:
        number: of cores; a group may have half of one.
        usage: the file of the CPU time that the group has used, if a quota limits it.
    """

    number: float
    group: str = ""
    usage: Path | None = None

    def seconds(self) -> float:
        """Return the CPU time that the group has used; 0 if no quota limits it."""
        if self.usage is None:
            return 0.0
        text = self.usage.read_text()
        found = re.search(r"^usage_usec (\d+)$", text, re.MULTILINE)
        return int(found[1]) / 1e6 if found else int(text) / 1e9


def memory(pid: int | str = SELF) -> Memory:
    """Return the memory of the machine, or that which the process's groups leave it."""
    machine = psutil.virtual_memory()
    tightest = Memory(machine.total, machine.available)
    for folder in _groups(pid, "memory"):
        limits = [
            value
            for name in ("memory.max", "memory.high", "memory.limit_in_bytes")
            if (value := _number(folder / name)) is not None
        ]
        used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes")
        if not limits or used is None or min(limits) >= machine.total:
            continue
        # The kernel takes back the file pages that were not used lately, before it kills anybody.
        left = max(0, min(limits) - max(0, used - _inactive(folder)))
        if left < tightest.available or not tightest.group:
            tightest = Memory(min(limits), min(left, machine.available), str(folder))
    return tightest


def cores(pid: int | str = SELF) -> Cores:
    """Return the cores of the machine, or those which the process's groups leave it."""
    allowed = len(cpus(pid))
    count = os.cpu_count() or allowed
    tightest = Cores(allowed, "its CPU set" if allowed < count else "")
    for folder in _groups(pid, "cpu"):
        quota = period = None
        with suppress(OSError, ValueError):
            quota, period = map(int, (folder / "cpu.max").read_text().split())
        if quota is None:
            quota, period = (_number(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        if quota is not None and period and 0 < quota / period < tightest.number:
            tightest = Cores(quota / period, str(folder), _usage(pid, folder))
    return tightest


def cpus(pid: int | str = SELF) -> Sequence[int]:
    """Return the numbers of the CPUs on which a process may run."""
    try:
        return sorted(os.sched_getaffinity(0 if pid == SELF else int(pid)))
    except OSError:
        return range(os.cpu_count() or 1)


def _usage(pid: int | str, folder: Path) -> Path | None:
    """Return the file of a group's CPU time, which version 1 may have in another tree."""
    with suppress(OSError):
        if "usage_usec" in (folder / "cpu.stat").read_text():
            return folder / "cpu.stat"
    same = (one for one in (folder, *_groups(pid, "cpuacct")) if one.name == folder.name)
    return next((file for one in same if (file := one / "cpuacct.usage").exists()), None)


def _groups(pid: int | str, controller: str) -> Iterator[Path]:
    """Yield the folder of a process's group for a controller, and those above it, of each version."""
    try:
        process = Path(psutil.PROCFS_PATH, str(pid))
        lines = (process / "cgroup").read_text().splitlines()
        mounts = (process / "mountinfo").read_text().splitlines()
    except OSError:
        return
    paths: dict[str, str] = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        paths |= dict.fromkeys(controllers.split(","), path)
    for line in mounts:
        before, _, after = line.partition(" - ")
        root, place = map(_unescaped, before.split()[3:5])
        kind, _, options = after.split(maxsplit=2)
        if kind == "cgroup2":
            group = paths.get("")
        elif kind == "cgroup" and controller in options.split(","):
            group = paths.get(controller)
        else:
            group = None
        if group is None:
            continue
        # In a container without a namespace of its own, the mount shows a part of the tree.
        below = group.removeprefix(root) if root != "/" else group
        parts = [part for part in below.split("/") if part and part != ".."]
        for depth in range(len(parts), -1, -1):
            yield Path(place, *parts[:depth])


def _unescaped(word: str) -> str:
    """A path as mountinfo writes it: ``\\040`` is a space."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), word)


def _number(file: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int(file.read_text())
    return None


def _inactive(folder: Path) -> int:
    with suppress(OSError):
        text = (folder / "memory.stat").read_text()
        # Version 1 has the group's own pages without "total_".
        for name in ("total_inactive_file", "inactive_file"):
            if found := re.search(rf"^{name} (\d+)$", text, re.MULTILINE):
                return int(found[1])
    return 0
