"""Keep what members searched for, for themselves: they see it, delete it, and switch it off."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from time import monotonic
from uuid import UUID

from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.http import problems
from chitlaq.core.http.paging import Page, Paging
from chitlaq.core.telemetry import logs
from chitlaq.core.text import folding
from chitlaq.services.search.history.schemas import HistorySettings, PastSearch

KEPT = 50
"""Searches of a member; older ones are deleted."""
MAX_TEXT = 500
MAX_FOLDED = 650
"""Letters that tell texts apart: what an entry of an index has room for, if each takes four bytes."""
FLUSH_SECONDS = 1.0
MAX_WAITING = 1000

log = logs.get("history")


class History:
    """Remembers searches, and writes those of a second in one statement: a search does not wait for it.

    Each process has some that wait. What was searched for before a deletion is not written after it, so that
    nothing comes back from another process.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[tuple[UUID, str], tuple[str, float]] = {}
        self._writing = asyncio.Lock()

    def remember(self, member: UUID | None, text: str) -> None:
        """Keep a text that a member searched for; with too many at once some are left out."""
        text = text.strip()
        # Folding makes 18 letters of some.
        folded = folding.folded(text).strip()[:MAX_FOLDED]
        if member is None or not folded or len(text) > MAX_TEXT or len(self._waiting) > MAX_WAITING:
            return
        # What is typed letter by letter is one search.
        for account, before in list(self._waiting):
            if account == member and folded.startswith(before):
                del self._waiting[account, before]
        self._waiting[member, folded] = (text, monotonic())

    async def write_forever(self) -> None:
        """Write what waits, once a second."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self.write()
            except PostgresUnavailableError as error:
                log.warning("searches wait for the database", error=str(error))

    async def write(self) -> None:
        """Write what waits, after what is being written.

        Raises:
            PostgresUnavailableError: it goes on waiting.
        """
        async with self._writing:
            waiting, self._waiting = self._waiting, {}
            if not waiting:
                return
            accounts = [account for account, _ in waiting]
            folded = [text for _, text in waiting]
            texts = [text for text, _ in waiting.values()]
            try:
                async with self._database.transaction() as session:
                    # By PostgreSQL's clock, which all processes share.
                    now, read = await session.value("begin_keeping"), monotonic()
                    moments = [now - timedelta(seconds=read - at) for _, at in waiting.values()]
                    await session.execute("keep_searches", accounts, folded, texts, moments)
                    await session.execute("forget_old_searches", sorted(set(accounts)), KEPT - 1)
            except PostgresUnavailableError:
                self._waiting = waiting | self._waiting
                raise

    async def listed(self, member: UUID, paging: Paging) -> Page[PastSearch]:
        """Return a page of what a member searched for, the latest first."""
        await self.write()
        rows = await self._database.rows("history", member, *paging.window)
        return paging.page_of(rows, lambda row: PastSearch(*row))

    async def forget(self, member: UUID, search: UUID) -> None:
        """Delete one search.

        Raises:
            Problem: 404 if the member has none of this id.
        """
        await self.write()
        async with self._database.transaction() as session:
            await session.execute("begin_forgetting")
            if not await session.execute("forget_search", member, search):
                raise problems.not_found("search")
            await session.execute("note_forgetting", member)

    async def forget_all(self, member: UUID) -> None:
        """Delete all searches of a member, also those that are not written yet."""
        async with self._database.transaction() as session:
            await session.execute("begin_forgetting")
            await session.execute("forget_searches", member)
            await session.execute("note_forgetting", member)

    async def settings(self, member: UUID) -> HistorySettings:
        return HistorySettings(await self._database.value("history_settings", member))

    async def change_settings(self, member: UUID, wanted: HistorySettings) -> None:
        """Switch keeping on or off; what was kept before stays until it is deleted."""
        await self.write()
        async with self._database.transaction() as session:
            await session.execute("begin_forgetting")
            await session.execute("note_forgetting", member)
            await session.execute("set_history_settings", member, wanted.keeps_history)
