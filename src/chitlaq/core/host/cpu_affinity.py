"""How work that can wait leaves room for members: it keeps to half of the processors.

Priority alone does not help: where all processors are busy, whoever asks waits twice as long, however
low the priority of what keeps them busy (docs/benchmarks.md).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

PROCESSORS = sorted(os.sched_getaffinity(0))
"""Those that this process may use, before it keeps to half of them."""


def half() -> Sequence[int]:
    return PROCESSORS[len(PROCESSORS) // 2 :]


def keep_to(process: int, processors: Sequence[int]) -> None:
    """Let a process run on these processors alone; where it may not be told so, it goes on as it is."""
    with suppress(OSError):
        os.sched_setaffinity(process, processors)
