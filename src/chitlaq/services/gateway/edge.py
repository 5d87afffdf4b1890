"""What members saw: requests counted from nginx's access log, each line once."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path
from time import monotonic
from typing import IO

import msgspec
from prometheus_client import Counter, Histogram

from chitlaq.core import logs, metrics
from chitlaq.core.home import Home

POLL_SECONDS = 0.25
# nginx's workers write to a file that was moved until each has opened the new one.
LINGER_SECONDS = 1.0
READ_BYTES = 1 << 20
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SERVICE = "api-gateway"

log = logs.get("edge")


class _Line(msgspec.Struct):
    """What is counted of a line of the access log; ``request_time`` in seconds."""

    method: str
    route: str
    status: int
    request_time: float


class _Position(msgspec.Struct):
    """How far the log was read: the file and the first byte that was not."""

    inode: int
    offset: int


class AccessLog:
    """Reads the access log to its end, across rotations and across its own restarts.

    Of several gateway processes one reads, the one that holds the lock; the counters are shared.
    The position is written after the lines before it were counted, so a process that is killed in
    between lets its successor count at most one batch twice.
    """

    def __init__(self, home: Home) -> None:
        self._path = home.access_log
        self._previous = self._path.with_name(self._path.name + ".1")
        self._position_path = home.run / "access-log.position"
        self._lock_path = home.run / "access-log.lock"
        self._file: IO[bytes] | None = None
        self._rest = b""
        self._moved_at: float | None = None
        self._lock: IO[bytes] | None = None

    async def read_forever(self) -> None:
        while True:
            self.read()
            await asyncio.sleep(POLL_SECONDS)

    def read(self) -> None:
        """Count every line that nginx has written so far."""
        if not self._holds_lock():
            return
        if self._file is None and not self._open():
            return
        while True:
            self._count_to_end()
            assert self._file is not None
            inode = os.fstat(self._file.fileno()).st_ino
            if not self._is_moved(inode):
                return
            now = monotonic()
            self._moved_at = self._moved_at or now
            if now - self._moved_at < LINGER_SECONDS or not self._open_next(inode):
                return

    def close(self) -> None:
        for file in (self._file, self._lock):
            if file is not None:
                file.close()
        self._file = self._lock = None

    def _holds_lock(self) -> bool:
        if self._lock is not None:
            return True
        lock = self._lock_path.open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._lock = lock
        return True

    def _open(self) -> bool:
        """Go on where the process before stopped: in this file, or in the one before it."""
        position = self._stored_position()
        for path in (self._path, self._previous):
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue
            if position is None or os.fstat(file.fileno()).st_ino == position.inode:
                file.seek(position.offset if position else 0)
                self._file = file
                return True
            file.close()
        return self._open_next(position.inode if position else None)

    def _open_next(self, done: int | None) -> bool:
        """Open the file after the one with this inode; false when there is none yet."""
        # Where that one is no longer the previous file, the previous file was not read either.
        is_skipped = done is not None and _inode(self._previous) not in {None, done}
        try:
            file = (self._previous if is_skipped else self._path).open("rb")
        except FileNotFoundError:
            return False
        if self._file is not None:
            self._file.close()
        self._file, self._rest, self._moved_at = file, b"", None
        return True

    def _is_moved(self, inode: int) -> bool:
        return _inode(self._path) not in {None, inode}

    def _count_to_end(self) -> None:
        assert self._file is not None
        while chunk := self._file.read(READ_BYTES):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                _count(line)
            self._store_position(self._file.tell() - len(self._rest))

    def _stored_position(self) -> _Position | None:
        try:
            return msgspec.json.decode(self._position_path.read_bytes(), type=_Position)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def _store_position(self, offset: int) -> None:
        assert self._file is not None
        position = _Position(os.fstat(self._file.fileno()).st_ino, offset)
        draft = self._position_path.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(position))
        draft.rename(self._position_path)


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


_decoder = msgspec.json.Decoder(_Line)
_series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}


def _count(line: bytes) -> None:
    try:
        entry = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeError) as error:
        log.warning("access log line not understood", error=str(error))
        return
    method = entry.method if entry.method in METHODS else "other"
    key = (method, entry.route, entry.status)
    series = _series.get(key)
    if series is None:
        counter = metrics.HTTP_REQUESTS.labels(SERVICE, method, entry.route, str(entry.status))
        histogram = metrics.HTTP_REQUEST_DURATION.labels(SERVICE, method, entry.route)
        series = _series[key] = (counter, histogram)
    series[0].inc()
    series[1].observe(entry.request_time)
