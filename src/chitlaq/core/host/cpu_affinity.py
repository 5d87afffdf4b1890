"""Pin background work to half the CPUs so member requests keep the rest.

Priority alone does not help: where all CPUs are busy, a request waits twice as long, however low the
priority of what keeps them busy (docs/benchmarks.md).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

CPUS = sorted(os.sched_getaffinity(0))
"""Those that this process may use, before it is pinned."""


def background_cpus() -> Sequence[int]:
    """The upper half of `CPUS`; all of them where there is only one."""
    return CPUS[len(CPUS) // 2 :]


def pin(process: int, cpus: Sequence[int]) -> None:
    """Restrict a process to these CPUs; where that is not permitted, it stays as it is."""
    with suppress(OSError):
        os.sched_setaffinity(process, cpus)
