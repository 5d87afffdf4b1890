"""Report the progress of programs."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from chitlaq.backups.context import PROGRAM_SECONDS, ProgressCallback, size_of
from chitlaq.core.host import programs

POLL_SECONDS = 0.5
# A --progress line; each overwrites the last.
_PROGRESS = re.compile(r" *(\d+)/(\d+) kB")


@contextmanager
def track_growth(
    advance: ProgressCallback, stage: str, path: Path, expected: int
) -> Iterator[None]:
    """Report progress while a file or folder grows to about the expected size."""
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


def run_with_progress(advance: ProgressCallback, stage: str, words: list[str]) -> None:
    """Run a PostgreSQL program that reports its progress.

    Raises:
        OperatorError: it failed; the message quotes its error output.
    """
    rest = ""
    complaints: list[str] = []

    def on_stderr(chunk: str) -> None:
        nonlocal rest
        # A carriage return ends a line, too.
        *lines, rest = re.split("[\r\n]", rest + chunk)
        for line in lines:
            if progress := _PROGRESS.match(line):
                advance(stage, int(progress[1]) * 1000, int(progress[2]) * 1000)
            else:
                complaints.append(line)

    result = programs.run(words, timeout_seconds=PROGRAM_SECONDS, on_stderr=on_stderr)
    replace(result, stderr="\n".join((*complaints, rest))).checked()
