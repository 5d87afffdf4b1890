"""Report the progress of programs."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chitlaq.backups.context import ProgressCallback, last_lines, size_of
from chitlaq.core.errors import OperatorError
from chitlaq.stack.supervisor.process import ends_with_us

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
    # Safe beside threads: the child makes a single system call before exec.
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, errors="replace", env={**os.environ, "LC_ALL": "C"}, preexec_fn=ends_with_us,  # noqa: PLW1509
    )  # fmt: skip
    said = []
    with process:
        assert process.stderr is not None
        # Text mode ends lines at carriage returns too.
        for line in process.stderr:
            if progress := _PROGRESS.match(line):
                advance(stage, int(progress[1]) * 1000, int(progress[2]) * 1000)
            else:
                said.append(line)
    if process.returncode != 0:
        raise OperatorError(f"{Path(words[0]).name} failed: {last_lines(''.join(said))}")
