"""fail2ban's bans, from its own database: no root, and no parsing of its log."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from pathlib import Path

from prometheus_client.core import Metric

from chitlaq.monitoring.exporter.exported_metrics import of

Ban = tuple[str, int, int, str]
"""Jail, row, time and address. fail2ban gives the row's number again once it has deleted the newest."""


class Bans:
    """Counts every ban once. fail2ban forgets its own after a day, and a counter must not fall."""

    def __init__(self, database: str) -> None:
        self._database = Path(database)
        self._seen: set[Ban] = set()
        self._made: Counter[str] = Counter()

    async def metrics(self) -> list[Metric]:
        """Return how many bans each jail has made; nothing where fail2ban is not installed.

        Begins with those that the database holds.

        Raises:
            sqlite3.Error, OSError: its database is there and cannot be read.
        """
        if not self._database.exists():
            return []
        jails, bans = await asyncio.to_thread(_read, self._database)
        self._made.update(jail for jail, *_ in bans - self._seen)
        self._seen = bans
        return [of("fail2ban_banned", {jail: self._made[jail] for jail in {*jails, *self._made}})]


def _read(database: Path) -> tuple[list[str], set[Ban]]:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=1)
    try:
        jails = [name for (name,) in connection.execute("SELECT name FROM jails")]
        return jails, set(connection.execute("SELECT jail, rowid, timeofban, ip FROM bans"))
    finally:
        connection.close()
