"""What descends from a process, as the kernel lists it.

psutil reads the state of every process of the machine for that, which takes 10 ms where a thousand run.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil


def children(pid: int) -> list[int]:
    """Return a process's children, in no order; none if it has ended.

    While one of them ends, the kernel may leave another out (proc_pid_task_children(5)): for who asks again.
    """
    if not _are_listed():
        with suppress(psutil.Error):
            return [one.pid for one in psutil.Process(pid).children()]
        return []
    found: list[int] = []
    # The process or one of its threads ends meanwhile, or is another user's.
    with suppress(OSError):
        for thread in os.scandir(f"/proc/{pid}/task"):
            with suppress(OSError):
                found += map(int, Path(thread.path, "children").read_text().split())
    return found


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it, as `children` does."""
    found = [pid]
    for one in found:
        found += children(one)
    return found


@cache
def _are_listed() -> bool:
    """Whether this kernel was built to list them (CONFIG_PROC_CHILDREN); not all sandboxes do."""
    pid = os.getpid()
    return Path(f"/proc/{pid}/task/{pid}/children").exists()
