"""What a component leaves running when its process dies: found by a mark, and ended.

PostgreSQL's backends leave the session and the group of their server and outlive it while they are busy.
As long as one does, no other server can use the data directory. So each process that we start gets a mark
as its standard input: an empty file in memory that bears the home's identity and the component's name.
All descendants inherit it. /proc shows it whatever they call themselves and whoever their parent is now,
also to the next supervisor. Nothing without the mark is touched.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from chitlaq.core.host import processes
from chitlaq.core.installation.home import Home

SUPERVISOR = "supervisor"
"""The mark of the supervisor itself."""
TERMINATE_SECONDS = 10.0
KILL_SECONDS = 5.0


def mark(home: Home, component: str) -> int:
    """Return a descriptor for a process's standard input, which marks it; the caller closes it."""
    file = os.memfd_create(_prefix(home) + component)
    try:
        return os.open(f"/proc/self/fd/{file}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(file)


def marked(home: Home) -> dict[int, str]:
    """Return the component of each running process of this home, by process id."""
    if not home.root.exists():
        return {}
    prefix, found = f"/memfd:{_prefix(home)}", {}
    for entry in os.scandir("/proc"):
        # The process may end meanwhile, or be another user's.
        if entry.name.isdecimal():
            with suppress(OSError):
                name = str(Path(entry.path, "fd", "0").readlink())
                if name.startswith(prefix):
                    found[int(entry.name)] = name.removeprefix(prefix).removesuffix(" (deleted)")
    return found


def of(home: Home, component: str) -> set[int]:
    """The processes of one component."""
    return {pid for pid, name in marked(home).items() if name == component}


def end(home: Home, pids: Iterable[int], *, is_graceful: bool = False) -> dict[int, str]:
    """End processes of this home, and return those that remain, with their command lines.

    Args:
        home: processes without its mark are left alone: an id may have been reused.
        pids: the processes.
        is_graceful: ask them first, and give them time.
    """
    descriptors: dict[int, int] = {}
    try:
        for pid in pids:
            with suppress(ProcessLookupError):
                descriptors[pid] = os.pidfd_open(pid)
        ours = marked(home)
        running = {pid: one for pid, one in descriptors.items() if pid in ours}
        if is_graceful:
            # A stopped process (SIGSTOP) handles no signal before it continues.
            _signal(running, signal.SIGTERM, signal.SIGCONT)
            running = _still_running(running, TERMINATE_SECONDS)
        _signal(running, signal.SIGKILL)
        return {pid: described(pid) for pid in _still_running(running, KILL_SECONDS)}
    finally:
        for descriptor in descriptors.values():
            os.close(descriptor)


def resume(pids: Iterable[int]) -> None:
    """Let stopped processes (SIGSTOP) continue, so that they can end."""
    for pid in pids:
        with suppress(OSError):
            os.kill(pid, signal.SIGCONT)


def described(pid: int) -> str:
    """A process's command line and state, for a message."""
    try:
        process = psutil.Process(pid)
        return f"{' '.join(process.cmdline())[:60] or process.name()} ({process.status()})"
    except psutil.Error:
        return "ended"


class Reaper:
    """Reaps what the supervisor adopted: as their parent it must, or they remain as zombies.

    Args:
        is_known: whether somebody else waits for this child.
    """

    def __init__(self, is_known: Callable[[int], bool]) -> None:
        self._is_known = is_known
        self._seen: set[int] = set()

    def reap(self) -> None:
        """Reap the zombies that nobody has reaped since the last call."""
        zombies = set()
        for pid in processes.children(os.getpid()):
            with suppress(psutil.Error):
                is_zombie = psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
                if is_zombie and not self._is_known(pid):
                    zombies.add(pid)
        for pid in zombies & self._seen:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        self._seen = zombies


def _prefix(home: Home) -> str:
    # Not the path: a container may have the same one, and its processes show in the host's /proc.
    root = home.root.stat()
    return f"chitlaq:{root.st_dev}:{root.st_ino}:"


def _signal(running: Mapping[int, int], *numbers: signal.Signals) -> None:
    for descriptor in running.values():
        for number in numbers:
            with suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(descriptor, number)


def _still_running(running: Mapping[int, int], seconds: float) -> dict[int, int]:
    """Wait until they have ended, for this long at most; return those that have not."""
    left, deadline = dict(running), time.monotonic() + seconds
    poll = select.poll()
    for descriptor in left.values():
        poll.register(descriptor, select.POLLIN)
    while left and (rest := deadline - time.monotonic()) > 0:
        for ended, _ in poll.poll(rest * 1000):
            poll.unregister(ended)
            left = {pid: one for pid, one in left.items() if one != ended}
    return left


def listed(processes: Mapping[int, str]) -> str:
    """Processes for people: their numbers and commands."""
    return ", ".join(f"{pid} {words}" for pid, words in processes.items())
