"""Find members by name."""

from __future__ import annotations

from uuid import UUID

from chitlaq.core.data.postgres import Database
from chitlaq.core.http.paging import Page, Paging
from chitlaq.services.search.members import FoundMember

TRIGRAM = 3


async def find(
    database: Database, viewer: UUID | None, text: str, paging: Paging
) -> Page[FoundMember]:
    """Return the members that the viewer may find by this text, the best match first.

    Matches are ranked, so a list has pages but no cursor. Who is not signed in finds nobody by one or two
    letters: a few hundred such texts would list all members.

    Raises:
        Problem: 401 for a page beyond what is shown to those who are not signed in.
    """
    paging = paging.of_members(viewer)
    text = text.strip().removeprefix("@")
    query = "members_containing" if len(text) >= TRIGRAM else "members_beginning"
    if viewer is None and len(text) < TRIGRAM:
        return Page([], paging.page, paging.limit, None)
    rows = await database.rows(query, viewer, _escaped(text), text, paging.offset, paging.limit)
    return Page([FoundMember(**row) for row in rows], paging.page, paging.limit, None)


def _escaped(text: str) -> str:
    """The text as a LIKE pattern that matches nothing but itself."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
