"""How long the disk of the home takes to write for good: a slow one makes everything slow that is kept."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import perf_counter

from prometheus_client.core import Metric

from chitlaq.core.host import disk_sync
from chitlaq.core.telemetry import logs
from chitlaq.monitoring.exporter.exported_metrics import metric

PAUSE_SECONDS = 10.0

log = logs.get("disk_sync")


class DiskSync:
    """Writes again and again, and keeps how long the last time took."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._began_at: float | None = None
        self._last: float | None = None

    async def measure_forever(self) -> None:
        while True:
            self._began_at = perf_counter()
            try:
                self._last = await asyncio.to_thread(disk_sync.seconds, self._folder)
            except OSError as error:
                # A full disk has an alert of its own.
                self._last = None
                log.warning("disk not measured", error=str(error))
            self._began_at = None
            await asyncio.sleep(PAUSE_SECONDS)

    async def metrics(self) -> list[Metric]:
        """Return the last time, or that of a write that has taken longer and is not done."""
        under_way = 0.0 if self._began_at is None else perf_counter() - self._began_at
        if self._last is None and not under_way:
            return []
        return [metric("disk_sync_seconds", max(self._last or 0.0, under_way))]
