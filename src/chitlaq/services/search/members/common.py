"""Beginnings of names that many members have: these are read from the best known on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.telemetry import logs

MANY = 300
"""So many are read and compared; of more, the best known, and those near the viewer."""
FRESH_SECONDS = 600.0
RETRY_SECONDS = 5.0

log = logs.get("common")


class Common:
    """About how many members have a token, for tokens of many. It only says which way is cheaper."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._uses: Mapping[str, int] = {}

    def uses(self, tokens: Iterable[str]) -> int:
        return sum(self._uses.get(token, 0) for token in tokens)

    async def read(self) -> None:
        """Count anew.

        Raises:
            PostgresUnavailableError: the counts stay as they were.
        """
        rows = await self._database.rows("common_beginnings", MANY)
        self._uses = {row["token"]: row["uses"] for row in rows}

    async def read_forever(self) -> None:
        """Count now, and every ten minutes: a name becomes common slowly."""
        while True:
            try:
                await self.read()
            except PostgresUnavailableError as error:
                log.warning("common names wait for the database", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
            else:
                await asyncio.sleep(FRESH_SECONDS)
