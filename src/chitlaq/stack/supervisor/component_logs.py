"""The supervisor's log files: one for each component, its own, and nginx's access log."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime
from queue import SimpleQueue

import msgspec

from chitlaq.core.host import memory
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Logs
from chitlaq.logs import rotation
from chitlaq.logs.rotation import LogFile
from chitlaq.stack.supervisor import access_lines

END_SECONDS = 5.0


class ComponentLogs:
    """The logs of a stack.

    Args:
        home: where they are.
        limits: when they are rotated.
        reopen_access_log: called when nginx's log was moved, where nginx writes it itself.
    """

    def __init__(self, home: Home, limits: Logs, reopen_access_log: Callable[[], None]) -> None:
        self._home = home
        self._limits = limits
        self._waiting: SimpleQueue[LogFile] = SimpleQueue()
        self.of: dict[str, LogFile] = {}
        self.own = self._opened("supervisor")
        self._moved = self._opened(home.access_log.stem)
        self._access_lines = access_lines.begin(home, self._moved)
        self.access_log = home.new_access_lines if self._access_lines else home.access_log
        """Where nginx's workers write."""
        self._reopen_access_log = reopen_access_log
        self._day = rotation.last_day(home.access_log) or rotation.local_day()
        threading.Thread(target=self._write_forever, daemon=True).start()

    def open(self, components: Iterable[str]) -> None:
        """Open a log for the output of each component."""
        self.of.update((name, self._opened(name)) for name in components)

    def _opened(self, name: str) -> LogFile:
        path, limits, lines = self._home.logs / f"{name}.log", self._limits, self._waiting
        log = LogFile(path, limits.max_bytes, limits.keep_files, has_lines=lambda: lines.put(log))
        return log

    def _write_forever(self) -> None:
        """Write what comes: a disk that stands still keeps this thread waiting, and not the supervisor."""
        while True:
            self._waiting.get().flush()

    def limit(self, limits: Logs) -> None:
        """Rotate by these settings from now on."""
        self._limits = limits
        for log in self._every():
            log.limit(limits.max_bytes, limits.keep_files)

    def note(self, text: str) -> None:
        """Log an event of the supervisor itself."""
        line = {
            "timestamp": datetime.now(UTC),
            "level": "info",
            "service": "supervisor",
            "event": text,
        }
        self.own.write(msgspec.json.encode(line) + b"\n")

    async def rotate(self, *, moved: bool) -> None:
        """Start new log files; the old ones are moved first, unless logrotate has done so.

        Raises:
            OSError: one cannot be moved, or there is no space for its compressed predecessor.
        """
        await asyncio.to_thread(self._rotate_own, moved=moved)
        path = self._home.access_log
        if self._access_lines is None and not moved and path.exists() and path.stat().st_size:
            await asyncio.to_thread(rotation.rotate, path, self._limits.keep_files)
        self._reopen_access_log()

    def _rotate_own(self, *, moved: bool) -> None:
        for log in self._every():
            if moved:
                log.reopen()
            elif log.path.stat().st_size:
                log.rotate()

    async def tend(self) -> None:
        """Write what waits for space, and rotate an access log that nginx writes itself if it is due."""
        for log in self._every():
            await asyncio.to_thread(log.flush)
            if log.fault is None and log.lost_bytes:
                lost, log.lost_bytes = log.lost_bytes, 0
                self.note(f"{lost} bytes of {log.path.name} were lost: its disk was full")
        if self._access_lines is not None:
            return
        path, today = self._home.access_log, rotation.local_day()
        try:
            if await asyncio.to_thread(self._is_due, today):
                await asyncio.to_thread(rotation.rotate, path, self._limits.keep_files)
                self._reopen_access_log()
            self._day = today
        except OSError as error:
            self.note(f"{path.name} cannot be rotated: {error}")

    async def close(self) -> None:
        """Close the components' logs; the supervisor's own stays open for what it still notes."""
        if self._access_lines is not None:
            await asyncio.to_thread(self._access_lines.close)
            await asyncio.to_thread(self._moved.close)
            memory.remove(self._home.new_access_lines.parent)
        for log in self.of.values():
            await asyncio.to_thread(log.close)

    async def end(self) -> None:
        """Write what the supervisor noted last, if the disk takes it soon."""
        await asyncio.wait(
            {asyncio.create_task(asyncio.to_thread(self.own.flush))}, timeout=END_SECONDS
        )

    def _is_due(self, today: date) -> bool:
        try:
            size = self._home.access_log.stat().st_size
        except FileNotFoundError:
            return False
        return size >= self._limits.max_bytes or (today != self._day and size > 0)

    def _every(self) -> Iterator[LogFile]:
        yield from self.of.values()
        yield self.own
        if self._access_lines is not None:
            yield self._moved
