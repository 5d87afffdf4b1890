"""Errors in the logs of components without metrics: PostgreSQL, Valkey, nginx, the observers.

They are counted under the same name as the services' own, from the moment ops-service starts.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from chitlaq import inventory
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs, metrics
from chitlaq.logs import view
from chitlaq.stack.servers import barman

POLL_SECONDS = 5.0
READ_BYTES = 1 << 20

log = logs.get("log_errors")


class Log:
    """Follows a growing log through its rotations."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rest = b""
        self._file = self._opened()
        if self._file is not None:
            self._file.seek(0, os.SEEK_END)

    def new_errors(self) -> int:
        """Return the number of new, complete lines that report an error."""
        count = self._count()
        if self._is_moved():
            # Nothing more is written to the old file: read its rest.
            if self._file is not None:
                count += self._count()
                self._file.close()
            self._rest = b""
            self._file = self._opened()
            count += self._count()
        return count

    def _count(self) -> int:
        count = 0
        while self._file is not None and (chunk := self._file.read(READ_BYTES)):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            count += sum(view.is_error(line.decode(errors="replace")) for line in lines)
        return count

    def _is_moved(self) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False  # rotated, and the new file does not exist yet
        return self._file is None or not os.path.samestat(there, os.fstat(self._file.fileno()))

    def _opened(self) -> IO[bytes] | None:
        try:
            return self._path.open("rb")
        except FileNotFoundError:
            return None


def followed_logs(home: Home, settings: Settings) -> Mapping[str, Log]:
    """The logs on this machine, by component; a server elsewhere has none here."""
    return {
        row.name: Log(home.logs / f"{row.name}.log")
        for row in inventory.COMPONENTS.values()
        if row.kind not in {"service", "task"}
        and settings.embeds(row.name)
        and (row.kind != "archive" or barman.is_wanted(settings))
    }


async def count_forever(home: Home, settings: Settings) -> None:
    """Count the errors of all followed logs until cancelled."""
    found = await asyncio.to_thread(followed_logs, home, settings)
    metrics.begin_at_zero(metrics.LOG_LINES, *((name, "error") for name in found))
    while True:
        for name, one in found.items():
            try:
                errors = await asyncio.to_thread(one.new_errors)
            except OSError as error:
                log.warning("log not read", component=name, error=str(error))
            else:
                metrics.LOG_LINES.labels(name, "error").inc(errors)
        await asyncio.sleep(POLL_SECONDS)
