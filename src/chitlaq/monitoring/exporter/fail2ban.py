"""fail2ban's bans, from its database: needs neither root nor its log."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from pathlib import Path

from prometheus_client.core import Metric

from chitlaq.monitoring.exporter.exported_metrics import metric

Ban = tuple[str, int, int, str]
"""Jail, row ID, time and address. fail2ban reuses a row ID once it has deleted the newest row."""


class Bans:
    """Counts every ban once. fail2ban deletes bans after a day, and a counter must not decrease."""

    def __init__(self, database: str) -> None:
        self._database = Path(database)
        self._seen: set[Ban] = set()
        self._count: Counter[str] = Counter()

    async def metrics(self) -> list[Metric]:
        """Return the number of bans by jail; nothing where fail2ban is not installed.

        The first call counts those that the database holds.

        Raises:
            sqlite3.Error, OSError: its database exists but cannot be read.
        """
        if not self._database.exists():
            return []
        jails, bans = await asyncio.to_thread(_read, self._database)
        self._count.update(jail for jail, *_ in bans - self._seen)
        self._seen = bans
        return [
            metric("fail2ban_banned", {jail: self._count[jail] for jail in {*jails, *self._count}})
        ]


def _read(database: Path) -> tuple[list[str], set[Ban]]:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=1)
    try:
        jails = [name for (name,) in connection.execute("SELECT name FROM jails")]
        return jails, set(connection.execute("SELECT jail, rowid, timeofban, ip FROM bans"))
    finally:
        connection.close()
