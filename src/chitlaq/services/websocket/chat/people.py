"""Names and faces of accounts, kept for a minute."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from uuid import UUID

from chitlaq.core.data.batching import Batcher
from chitlaq.core.data.postgres import Database
from chitlaq.services.websocket.chat.schemas import Person

KEPT_SECONDS = 60.0
KEPT = 10_000


class People:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: OrderedDict[UUID, tuple[float, Person]] = OrderedDict()
        self._asked = Batcher(self._read)

    def known(self, account: UUID) -> Person | None:
        """Return who an account is, if that was read lately."""
        kept = self._kept.get(account)
        return kept[1] if kept is not None and kept[0] > time.monotonic() else None

    async def person(self, account: UUID) -> Person | None:
        """Return who an account is; None if it no longer exists."""
        known = self.known(account)
        if known is not None:
            return known
        found = await self._asked.ask(account)
        if found is not None:
            self._kept[account] = (time.monotonic() + KEPT_SECONDS, found)
            self._kept.move_to_end(account)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found

    async def _read(self, accounts: Sequence[UUID]) -> Sequence[Person | None]:
        rows = await self._database.rows("people", list(set(accounts)))
        found = {row[0]: Person(row[1], row[2], row[3]) for row in rows}
        return [found.get(account) for account in accounts]
