"""How far a program is, told from what it has written so far."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chitlaq.backups.place import Advance, size_of

POLL_SECONDS = 0.5


@contextmanager
def growing(advance: Advance, stage: str, path: Path, expected: int) -> Iterator[None]:
    """Tell of a stage while a file or folder grows to about the expected bytes."""
    is_done = threading.Event()

    def look() -> None:
        while not is_done.wait(POLL_SECONDS):
            done = size_of(path) if path.exists() else 0
            advance(stage, done, max(expected, done + 1))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_done.set()
        watcher.join()
    size = size_of(path) if path.exists() else 0
    advance(stage, size, size)
