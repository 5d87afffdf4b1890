"""The title under which a process shows in ``ps``, ``top`` and our own checks."""

from __future__ import annotations

import ctypes
from pathlib import Path

PR_SET_NAME = 15

_libc = ctypes.CDLL(None, use_errno=True)


def set_title(component: str) -> None:
    """Show this process as ``chitlaq COMPONENT``, as far as there is room for it.

    A forked process has the arguments of the one that it was forked from. The kernel reads them from
    where it put them at the start of the program, so the title is written there (proc(5), ``cmdline``);
    Python works with copies. ``top`` shows the name of 15 bytes that prctl(2) sets.
    """
    title = f"chitlaq {component}".encode()
    # The fields after the name, which is in parentheses, begin with the third.
    fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    start, end = int(fields[48 - 3]), int(fields[49 - 3])
    if room := end - start:
        ctypes.memmove(start, title[: room - 1].ljust(room, b"\0"), room)
    _libc.prctl(PR_SET_NAME, component.encode()[:15], 0, 0, 0)
