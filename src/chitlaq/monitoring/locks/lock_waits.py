"""Since when somebody has waited behind a transaction, although each who waits gives up before long.

A look at PostgreSQL says how long those wait who wait now. Services give up after seconds and others come,
so that nobody ever seems to wait long for a lock that is held for minutes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from asyncpg import Record

Root = tuple[int, str | None, datetime | None]
"""A transaction at the root of a chain: its process, its name if it is prepared, and when it began."""


class LockWaits:
    """What is remembered from look to look."""

    def __init__(self) -> None:
        self._since: dict[Root, float] = {}

    def longest(self, rows: Iterable[Record], now: float) -> float:
        """Return for how many seconds somebody has waited behind one and the same transaction.

        Args:
            rows: of the queries `lock_waits` and `table_locks`, at each look.
            now: seconds of any clock that does not go back.
        """
        since: dict[Root, float] = {}
        for row in rows:
            root = (row["root"], row["gid"], row["began_at"])
            known = self._since.get(root, now)
            since[root] = min(known, since.get(root, now), now - row["seconds"])
        self._since = since
        return max((now - at for at in since.values()), default=0.0)
