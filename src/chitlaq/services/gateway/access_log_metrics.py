"""Request metrics as members see them: counted from nginx's access log, each line once."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from typing import IO

import msgspec
from prometheus_client import Counter, Histogram

from chitlaq.core.host import files
from chitlaq.core.installation.home import Home
from chitlaq.core.telemetry import logs, metrics

POLL_SECONDS = 0.25
# nginx's workers write to a moved file until each has opened the new one.
LINGER_SECONDS = 1.0
READ_BYTES = 1 << 20
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SERVICE = "api-gateway"

log = logs.get("access_log")


class _Line(msgspec.Struct):
    """The fields of an access log line that are counted; ``request_time`` in seconds."""

    method: str
    route: str
    status: int
    request_time: float


class _Open:
    """A log file that is followed: the current one, or one that was moved recently.

    Args:
        file: opened at its beginning.
        positions: where the previous process stopped, by `name_in` of each file.
    """

    def __init__(self, file: IO[bytes], positions: Mapping[str, int]) -> None:
        self.inode = os.fstat(file.fileno()).st_ino
        self.moved_at: float | None = None
        self.is_begun = self.name_in(file) in positions
        self._file = file
        self._file.seek(positions[self.name_in(file)] if self.is_begun else 0)
        self._rest = b""

    @staticmethod
    def name_in(file: IO[bytes]) -> str:
        """Return what identifies a file: a hash of its first line, which has a request id.

        The inode does not: the next file may reuse the number of a deleted one.
        """
        here = file.tell()
        file.seek(0)
        first = file.readline()
        file.seek(here)
        return hashlib.sha256(first).hexdigest() if first.endswith(b"\n") else ""

    @property
    def position(self) -> tuple[str, int]:
        """The file's identity and the first byte that was not counted."""
        return self.name_in(self._file), self._file.tell() - len(self._rest)

    def count_to_end(self) -> bool:
        """Count every complete new line; false if there was none."""
        is_new = False
        while chunk := self._file.read(READ_BYTES):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                _count(line)
            is_new = True
        return is_new

    def close(self) -> None:
        self._file.close()


class AccessLog:
    """Follows the access log across rotations and its own restarts.

    Of several gateway processes only the one that holds the lock reads; the counters are shared.
    Every file is opened as soon as it appears and kept until nobody writes to it any more, so files
    can be moved at any rate. Positions are stored after the lines before them were counted: if a
    process is killed in between, its successor counts at most one batch twice.
    """

    def __init__(self, home: Home) -> None:
        path = home.access_log
        self._paths = (path, path.with_name(path.name + ".1"))
        self._positions_path = home.run / "access-log.positions"
        self._lock_path = home.run / "access-log.lock"
        self._expected_path = home.expected_requests
        self._expected_at = 0
        self._files: list[_Open] = []  # Newest first.
        self._lock: IO[bytes] | None = None

    async def read_forever(self) -> None:
        while True:
            self.read()
            await asyncio.sleep(POLL_SECONDS)

    def read(self) -> None:
        """Count every line that nginx has written so far."""
        if not self._holds_lock():
            return
        self._begin_expected()
        self._open_new()
        is_new = False
        for file in reversed(self._files):
            is_new |= file.count_to_end()
        if is_new:
            self._store_positions()
        self._close_old()

    def close(self) -> None:
        for file in (*self._files, self._lock):
            if file is not None:
                file.close()
        self._files, self._lock = [], None

    def _begin_expected(self) -> None:
        """Begin each possible request at zero whenever nginx gets a new configuration."""
        with suppress(FileNotFoundError):
            written_at = self._expected_path.stat().st_mtime_ns
            if written_at != self._expected_at:
                for method, route, status in _expected_decoder.decode(
                    self._expected_path.read_bytes()
                ):
                    metrics.begin_requests(SERVICE, method, route, status)
                self._expected_at = written_at

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

    def _open_new(self) -> None:
        """Open new files, from their beginning or from where the previous process stopped."""
        known = {file.inode for file in self._files}
        positions = {} if known else self._stored_positions()
        is_first = not known and not positions
        found: list[_Open] = []
        # Newest first. Files before a known one were read already.
        for path in self._paths[:1] if is_first else self._paths:
            try:
                file = _Open(path.open("rb"), positions)
            except FileNotFoundError:
                continue
            if file.inode in known or (found and found[-1].is_begun and not file.is_begun):
                file.close()
                break
            known.add(file.inode)
            found.append(file)
        self._files = found + self._files

    def _close_old(self) -> None:
        now = monotonic()
        for file in self._files[1:]:
            file.moved_at = file.moved_at or now
            if now - file.moved_at >= LINGER_SECONDS:
                self._files.remove(file)
                file.close()

    def _stored_positions(self) -> dict[str, int]:
        try:
            return msgspec.json.decode(self._positions_path.read_bytes(), type=dict[str, int])
        except (FileNotFoundError, msgspec.DecodeError):
            return {}

    def _store_positions(self) -> None:
        positions = {name: offset for name, offset in (f.position for f in self._files) if name}
        # Not durable: written several times a second, and after a power failure the counters begin anew.
        files.write(self._positions_path, msgspec.json.encode(positions), is_durable=False)


_expected_decoder = msgspec.json.Decoder(list[tuple[str, str, int]])
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
