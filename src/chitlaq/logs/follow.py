"""Follow a log as it grows, across rotations: each complete line once, in the order written.

A file is opened as soon as it is seen and stays open until no process writes to it, so renaming it does
not matter: nginx's workers keep writing to a moved file until each has opened the new one. A line
counts as written once it ends with a newline.

To continue after a restart, store `positions` once the lines are processed and pass them to the next
follower: after a kill in between, it reads the lines since then again, and loses none. It cannot see
files that were moved twice, and so compressed, between two reads. A file that is truncated in place
(``copytruncate``) is read from its beginning again; what was cut off before it was read is lost.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

# How long a moved file may still be written to.
LINGER_SECONDS = 2.0
READ_BYTES = 1 << 20


class Follower:
    """One log, from its current file on.

    Args:
        path: the file that is being written; it need not exist yet. ``NAME.1`` is the one before it.
        positions: where an earlier follower stopped; files that it does not know, and that are newer,
            are read from their beginning.
        is_from_end: skip what the current file already holds.
    """

    def __init__(
        self, path: Path, *, positions: Mapping[str, int] | None = None, is_from_end: bool = False
    ) -> None:
        self._paths = (path, path.with_name(path.name + ".1"))
        self._positions = positions or {}
        self._files: list[_File] = []  # Newest first.
        self._open_new()
        if is_from_end:
            self.skip()

    def new_lines(self) -> Iterator[bytes]:
        """Yield every whole line that was not yielded yet, without its newline.

        Raises:
            OSError: the current file cannot be read; the next call continues where this one stopped.
        """
        self._open_new()
        for file in reversed(self._files):
            yield from file.new_lines()
        now = time.monotonic()
        for file in self._files[1:]:
            file.moved_at = file.moved_at or now
            if now - file.moved_at >= LINGER_SECONDS:
                self._files.remove(file)
                file.close()

    @property
    def waiting_bytes(self) -> int:
        """How much of the open files was not read yet."""
        return sum(file.waiting_bytes for file in self._files)

    def skip(self) -> None:
        """Skip all whole lines that the open files hold."""
        for file in self._files:
            file.skip()

    @property
    def positions(self) -> dict[str, int]:
        """The first byte not yet yielded of each open file, by the file's name (`_File.name`)."""
        return dict(file.position for file in self._files if file.name)

    @property
    def written_at(self) -> float:
        """When the current file was last written to, in seconds since 1970; now if there is none."""
        return self._files[0].written_at if self._files else time.time()

    def has(self, state: os.stat_result) -> bool:
        """Whether this file is open, so that its lines come from here."""
        return any(file.inode == state.st_ino for file in self._files)

    def close(self) -> None:
        for file in self._files:
            file.close()
        self._files = []

    def _open_new(self) -> None:
        known = {file.inode for file in self._files}
        positions = {} if known else self._positions
        is_first = not known and not positions
        found: list[_File] = []
        # Newest first. What came before a known file was read, unless a position says so; and
        # what was moved before the first look is history.
        for path in self._paths[:1] if is_first else self._paths:
            try:
                file = _File(path, positions)
            except OSError as error:
                if path is self._paths[0] and not isinstance(error, FileNotFoundError):
                    raise
                continue
            if file.inode in known or (found and found[-1].is_begun and not file.is_begun):
                file.close()
                break
            known.add(file.inode)
            found.append(file)
        self._files = found + self._files


class _File:
    """An open file of the log: the current one, or one that was moved recently."""

    def __init__(self, path: Path, positions: Mapping[str, int]) -> None:
        self._file = path.open("rb")
        self.inode = os.fstat(self._file.fileno()).st_ino
        self.moved_at: float | None = None
        self.is_begun = self.name in positions
        position = positions.get(self.name, 0)
        self._file.seek(position if position <= self._size else 0)
        self._rest: list[bytes] = []  # Of a line that has not ended.

    @property
    def name(self) -> str:
        """What identifies a file: its first line, which has a time or a request id.

        The inode does not: a deleted file's number is reused.
        """
        here = self._file.tell()
        self._file.seek(0)
        first = self._file.readline(READ_BYTES)
        self._file.seek(here)
        is_whole = first.endswith(b"\n") or len(first) == READ_BYTES
        return hashlib.sha256(first).hexdigest() if is_whole else ""

    @property
    def position(self) -> tuple[str, int]:
        return self.name, self._file.tell() - sum(map(len, self._rest))

    @property
    def written_at(self) -> float:
        return os.fstat(self._file.fileno()).st_mtime

    @property
    def waiting_bytes(self) -> int:
        return max(0, self._size - self._file.tell())

    @property
    def _size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def new_lines(self) -> Iterator[bytes]:
        if self._size < self._file.tell():
            self._file.seek(0)
            self._rest = []
        while chunk := self._file.read(READ_BYTES):
            ended, newline, rest = chunk.rpartition(b"\n")
            if newline:
                lines = b"".join((*self._rest, ended)).split(b"\n")
                self._rest = []
                if rest:
                    self._rest.append(rest)
                yield from lines
            else:
                self._rest.append(chunk)

    def skip(self) -> None:
        """Skip all whole lines."""
        start = max(0, self._file.seek(0, os.SEEK_END) - READ_BYTES)
        self._file.seek(start)
        self._file.seek(start + self._file.read().rfind(b"\n") + 1)

    def close(self) -> None:
        self._file.close()
