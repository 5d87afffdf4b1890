"""Log files: written by the supervisor, rotated by logrotate's conventions, read back in order.

``NAME.log`` is the current file; ``NAME.log.1`` came before it and is uncompressed, since readers may
still have it open; ``NAME.log.2.gz`` came before that. A file holds at most one day, and is rotated
earlier when it grows too large.
"""

from __future__ import annotations

import gzip
import io
import os
import shlex
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path

from chitlaq.core.host import files, quoting
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Logs
from chitlaq.core.telemetry import logs

# What one log keeps in memory while its disk is full.
MAX_WAITING = 1 << 18
# What one log keeps in memory while its disk stands still; a burst of lines must not lose any.
MAX_UNWRITTEN = 1 << 22
ROTATE_AGAIN_SECONDS = 60.0
# Logs name members, addresses and queries: nobody else on the machine reads them.
MODE = 0o640


def local_day() -> date:
    """Today in local time."""
    return datetime.now().astimezone().date()


def last_day(path: Path) -> date | None:
    """The local day of a log's last line; None if it is empty or missing."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    return datetime.fromtimestamp(state.st_mtime).astimezone().date() if state.st_size else None


def opened(path: Path) -> io.FileIO:
    """Open a log for appending, without a buffer; others than its owner and group may not read it."""
    return io.FileIO(
        os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE), "ab"
    )


class LogFile:
    """One component's log. Lines stay whole across rotations.

    Writing never fails, so what depends on it never stops: lines that a full disk does not take wait in
    memory, the last `MAX_WAITING` bytes of them, and are written once there is space.

    Args:
        path: the current file.
        max_bytes: after so many it is rotated.
        keep_files: so many earlier ones are kept.
        today: the local day.
        has_lines: called when lines begin to wait, which another thread then flushes: a disk that stands
            still holds up nobody else. Without it whoever writes also flushes.
    """

    def __init__(
        self,
        path: Path,
        max_bytes: int,
        keep_files: int,
        today: Callable[[], date] = local_day,
        has_lines: Callable[[], None] | None = None,
    ) -> None:
        self.path = path
        self._has_lines = has_lines
        self._of_lines = threading.Lock()
        """Held while what waits changes; never while something is written."""
        self._of_file = threading.RLock()
        """Held by whoever writes or moves the file."""
        self.lost_bytes = 0
        """What was dropped because it waited for too long."""
        self.fault: OSError | None = None
        """Why the last write or rotation failed."""
        self._max_bytes = max_bytes
        self._keep_files = keep_files
        self._rest = b""
        self._waiting = b""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._today = today
        # The day of the last line: a file written before we started may be yesterday's.
        self._day = last_day(path) or today()
        self._rotates_again_at = 0.0
        for earlier in history(path):
            with suppress(OSError):
                earlier.chmod(earlier.stat().st_mode & MODE)
        self._file = opened(path)

    @property
    def is_behind(self) -> bool:
        """Whether so much waits for the disk that more should be kept elsewhere."""
        return len(self._waiting) >= MAX_WAITING

    def limit(self, max_bytes: int, keep_files: int) -> None:
        """Rotate at this size, and keep this many, from now on."""
        self._max_bytes, self._keep_files = max_bytes, keep_files

    def write(self, data: bytes) -> None:
        """Append a process's output; an incomplete line waits for its end."""
        lines, newline, self._rest = (self._rest + data).rpartition(b"\n")
        if newline:
            with self._of_lines:
                are_first = not self._waiting
                self._waiting += logs.redacted(lines) + newline
                self._forget_oldest(MAX_UNWRITTEN)
            if self._has_lines is None:
                self.flush()
            elif are_first:
                self._has_lines()

    def flush(self) -> None:
        """Write what waits, as far as the disk takes it; nothing once it is closed."""
        with self._of_file:
            if self._file.closed:
                return  # The thread that flushes was told of lines that closing has written.
            with self._of_lines:
                lines, self._waiting = self._waiting, b""
            # A clock that was set back begins no day: each file that it wrote would push an older one out.
            if (
                lines
                and (day := self._today()) != self._day
                and (day < self._day or self._rotate_if_due(1))
            ):
                self._day = day
            try:
                while lines:
                    lines = lines[self._file.write(lines) :]
                    self.fault = None
            except OSError as error:
                self.fault = error
                with self._of_lines:
                    self._waiting = lines + self._waiting
                    self._forget_oldest(MAX_WAITING)
            self._rotate_if_due(self._max_bytes)

    def rotate(self) -> None:
        """Start a new file.

        Raises:
            OSError: the old one is still in use.
        """
        with self._of_file:
            rotate(self.path, self._keep_files)
            self.reopen()

    def reopen(self) -> None:
        """Continue in a new file after another program has moved this one.

        Raises:
            OSError: the old one is still in use.
        """
        with self._of_file:
            file = opened(self.path)
            self._file.close()
            self._file = file

    def close(self) -> None:
        if self._rest:
            self.write(b"\n")
        with self._of_file:
            self.flush()
            self._file.close()

    def _rotate_if_due(self, size: int) -> bool:
        """Rotate a file of this size; false if that fails, or has just failed."""
        if self._file.tell() >= size:
            if time.monotonic() < self._rotates_again_at:
                return False
            try:
                self.rotate()
            except OSError as error:
                self.fault = error
                self._rotates_again_at = time.monotonic() + ROTATE_AGAIN_SECONDS
                return False
        return True

    def _forget_oldest(self, limit: int) -> None:
        if len(self._waiting) > limit:
            # Its first line may be the end of one that was written in part.
            first, newline, rest = self._waiting.partition(b"\n")
            last = rest[-limit:].partition(b"\n")[2]
            self.lost_bytes += len(rest) - len(last)
            self._waiting = first + newline + last


def logrotate(home: Home, limits: Logs) -> str:
    """Return a logrotate configuration with the same effect; both may run, and neither loses a line."""
    words = (f"CHITLAQ_HOME={shlex.quote(str(home.root))}", shlex.quote(sys.executable))
    reopen = f"{' '.join(words)} -m chitlaq rotate --moved"
    return f"""\
# Generated by `chitlaq config logrotate`; install as /etc/logrotate.d/chitlaq.
{quoting.logrotate(home.logs / "*.log")} {{
    daily
    maxsize {limits.max_bytes}
    rotate {limits.keep_files}
    compress
    delaycompress
    missingok
    notifempty
    nocreate
    sharedscripts
    postrotate
        {reopen} >/dev/null
    endscript
}}
"""


def rotate(path: Path, keep_files: int) -> None:
    """Move a log to ``NAME.1`` and its predecessors one further; delete the oldest.

    Processes that still write to the moved file do so until they reopen the log.

    Raises:
        OSError: nothing was moved; there may be no space for the compressed predecessor.
    """
    first = path.with_name(path.name + ".1")
    if first.exists() and keep_files > 1:
        # Compressed before anything moves, so that failing again and again loses nothing.
        with files.draft(_numbered(path, 2), mode=MODE) as draft:
            _compress(first, draft)
            _numbered(path, keep_files).unlink(missing_ok=True)
            for number in range(keep_files - 1, 1, -1):
                if _numbered(path, number).exists():
                    _numbered(path, number).rename(_numbered(path, number + 1))
        first.unlink()
    if path.exists():
        path.rename(first)


def history(path: Path) -> list[Path]:
    """Every file of a log that exists, oldest first."""
    numbered = {
        int(file.name.removeprefix(path.name + ".").removesuffix(".gz")): file
        for file in path.parent.glob(path.name + ".*")
        if file.name.removeprefix(path.name + ".").removesuffix(".gz").isdecimal()
    }
    files = [numbered[number] for number in sorted(numbered, reverse=True)]
    return [*files, path] if path.exists() else files


def lines(path: Path) -> Iterator[str]:
    """Yield the lines of one file, compressed or not."""
    opener = gzip.open if path.suffix == ".gz" else open
    # Only a line feed ends a line: what a stranger wrote may have other ends.
    with opener(path, "rt", encoding="utf-8", errors="replace", newline="\n") as file:
        for line in file:
            yield line.rstrip("\n")


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last lines of a growing file, reading only its end."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 4096 * max(1, count)))
            return file.read().decode(errors="replace").rstrip("\n").split("\n")[-count:]
    except FileNotFoundError:
        return []


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}.gz" if number > 1 else f"{path.name}.1")


def _compress(source: Path, target: Path) -> None:
    with source.open("rb") as plain, gzip.open(target, "wb", compresslevel=3) as packed:
        shutil.copyfileobj(plain, packed)
    # Keep the time of the last line, not of the compression.
    shutil.copystat(source, target)
