"""Beginnings of names that many members have: these are read from the best known on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from time import monotonic

from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.telemetry import logs

MANY = 300
"""So many are read and compared; of more, the best known, and those near the viewer."""
FEW_BY_CHANCE = 60
"""Who has all of several words is read at once, not from the best known on, if so few are expected."""
FRESH_SECONDS = 600.0
LOOK_SECONDS = 60.0
RETRY_SECONDS = 5.0
GROWN = 1.1
"""With so many times the members of before, it is counted anew at once: many were imported."""

log = logs.get("common")


class Common:
    """About how many members have a token, for tokens of many. It only says which way is cheaper."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._uses: Mapping[str, int] = {}
        self._members = 0
        self._indexed = -1
        self._fresh_until = 0.0

    def uses(self, tokens: Iterable[str]) -> int:
        return sum(self._uses.get(token, 0) for token in tokens)

    def are_many(self, uses: Sequence[int]) -> bool:
        """Whether many members have all of these words, each of which so many have.

        First and last names go together more often than by chance, hence `FEW_BY_CHANCE`.
        """
        if min(uses) <= MANY or not self._members:
            return min(uses) > MANY
        return self._members * prod(each / self._members for each in uses) > FEW_BY_CHANCE

    async def read(self) -> None:
        """Count anew, if that was long ago or there are many more members.

        Raises:
            PostgresUnavailableError: the counts stay as they were.
        """
        (row,) = await self._database.rows("members_indexed")
        indexed, self._members = row["added"], row["members"]
        if monotonic() < self._fresh_until and 0 <= indexed <= GROWN * self._indexed:
            return
        rows = await self._database.rows("common_beginnings", MANY)
        self._uses = {row["token"]: row["uses"] for row in rows}
        self._indexed, self._fresh_until = indexed, monotonic() + FRESH_SECONDS

    async def read_forever(self) -> None:
        """Count now, then every ten minutes, as a name becomes common slowly, and after an import."""
        while True:
            try:
                await self.read()
            except PostgresUnavailableError as error:
                log.warning("common names wait for the database", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
            else:
                await asyncio.sleep(LOOK_SECONDS)
