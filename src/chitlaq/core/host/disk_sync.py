"""How long a disk takes to write for good, as each commit of PostgreSQL waits for."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

PAGE_BYTES = 8192


def seconds(folder: Path) -> float:
    """Write a page to the disk of a folder, and return how long it took; nothing of it is left.

    Raises:
        OSError: the disk does not take it.
    """
    started = time.perf_counter()
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        file.write(bytes(PAGE_BYTES))
        os.fdatasync(file.fileno())
        return time.perf_counter() - started
