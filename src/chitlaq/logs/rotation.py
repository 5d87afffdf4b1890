"""Log files: written by the supervisor, rotated by logrotate's conventions, read back in order.

``NAME.log`` is being written, ``NAME.log.1`` came before it and is not compressed (somebody may still
be reading it), ``NAME.log.2.gz`` came before that. A file holds the lines of one day at most, and is
rotated before that when it grows too large.
"""

from __future__ import annotations

import gzip
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path

from chitlaq.core.host import files
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Logs


def local_day() -> date:
    """Today, where this machine is."""
    return datetime.now().astimezone().date()


def last_day(path: Path) -> date | None:
    """The day on which a log was last written to; None when it is empty or not there."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    return datetime.fromtimestamp(state.st_mtime).astimezone().date() if state.st_size else None


class LogFile:
    """One component's log. Lines are written whole, also across a rotation."""

    def __init__(
        self, path: Path, max_bytes: int, keep_files: int, today: Callable[[], date] = local_day
    ) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._keep_files = keep_files
        self._rest = b""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._today = today
        # The day of the last line: a file that was written to yesterday, before we were started, is
        # yesterday's.
        self._day = last_day(path) or today()
        self._file = path.open("ab", buffering=0)

    def write(self, data: bytes) -> None:
        """Take what a process wrote; a line that is not ended yet waits for its end."""
        lines, newline, self._rest = (self._rest + data).rpartition(b"\n")
        if newline:
            if (day := self._today()) != self._day:
                self._day = day
                if self._file.tell():
                    self.rotate()
            self._file.write(lines + newline)
            if self._file.tell() >= self._max_bytes:
                self.rotate()

    def rotate(self) -> None:
        rotate(self.path, self._keep_files)
        self.reopen()

    def reopen(self) -> None:
        """Go on in a new file, after somebody else has moved this one."""
        self._file.close()
        self._file = self.path.open("ab", buffering=0)

    def close(self) -> None:
        if self._rest:
            self._file.write(self._rest + b"\n")
            self._rest = b""
        self._file.close()


def logrotate(home: Home, limits: Logs) -> str:
    """Return what makes logrotate do the same as we do; both may do it, and neither loses a line."""
    reopen = f"CHITLAQ_HOME={home.root} {sys.executable} -m chitlaq rotate --moved"
    return f"""\
# Made by `chitlaq config logrotate`; to be kept as /etc/logrotate.d/chitlaq.
{home.logs}/*.log {{
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
    """Move a log out of the way, its predecessors one further, and forget the oldest.

    Whoever still writes to the moved file goes on doing so until told to open the new one.
    """
    oldest = _numbered(path, keep_files)
    oldest.unlink(missing_ok=True)
    for number in range(keep_files - 1, 1, -1):
        if _numbered(path, number).exists():
            _numbered(path, number).rename(_numbered(path, number + 1))
    first = path.with_name(path.name + ".1")
    if first.exists():
        _compress(first, _numbered(path, 2))
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
    with opener(path, "rt", encoding="utf-8", errors="replace") as file:
        for line in file:
            yield line.rstrip("\n")


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last lines of a file that is being written, reading only its end."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 4096 * max(1, count)))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}.gz" if number > 1 else f"{path.name}.1")


def _compress(source: Path, target: Path) -> None:
    with files.draft(target) as draft:
        with source.open("rb") as plain, gzip.open(draft, "wb", compresslevel=3) as packed:
            shutil.copyfileobj(plain, packed)
        # When the lines were written, and not when they were packed.
        shutil.copystat(source, draft)
    source.unlink()
