"""Finding members by name."""

from __future__ import annotations

from uuid import UUID

import msgspec

from chitlaq.core.data.postgres import Database
from chitlaq.core.http.paging import Page, Paging

TRIGRAM = 3


class FoundMember(msgspec.Struct, frozen=True):
    id: UUID
    username: str
    display_name: str
    department: str
    avatar_url: str | None
    bio: str
    university: str


class MemberSearch:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, viewer: UUID | None, text: str, paging: Paging) -> Page[FoundMember]:
        """Return the members that the viewer may find by this text, the best match first.

        Matches are ranked, so the list is read on by ``page``; there is no cursor.
        """
        text = text.strip().removeprefix("@")
        query = "members_containing" if len(text) >= TRIGRAM else "members_beginning"
        rows = await self._database.rows(
            query, viewer, _escaped(text), text, paging.offset, paging.limit
        )
        found = [FoundMember(**row) for row in rows]
        return Page(found, paging.page, paging.limit, None)


def _escaped(text: str) -> str:
    """The text as a LIKE pattern that matches nothing but itself."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
