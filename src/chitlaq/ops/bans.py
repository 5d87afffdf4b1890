"""fail2ban's bans, from its own database: no root, and no parsing of its log."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

from prometheus_client.core import Metric

from chitlaq.ops.families import of


async def metrics(database: str) -> list[Metric]:
    """Return how many bans each jail has made; nothing where fail2ban is not installed.

    Raises:
        sqlite3.Error, OSError: its database is there and cannot be read.
    """
    counts = await asyncio.to_thread(_counts, Path(database))
    if counts is None:
        return []
    return [of("fail2ban_banned", dict(counts))]


def _counts(database: Path) -> list[tuple[str, int]] | None:
    if not database.exists():
        return None
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=1)
    try:
        return connection.execute(
            "SELECT jails.name, count(bans.ip) FROM jails LEFT JOIN bans ON bans.jail = jails.name"
            " GROUP BY jails.name"
        ).fetchall()
    finally:
        connection.close()
