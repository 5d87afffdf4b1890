"""One process of an installation at a time."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

RETRY_SECONDS = 0.5


@asynccontextmanager
async def alone(file: Path) -> AsyncIterator[None]:
    """Wait until no other process holds the lock on a file; the kernel ends a dead one's turn."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with file.open("w") as lock:
        os.set_inheritable(lock.fileno(), False)
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(RETRY_SECONDS)
        yield
