"""Find tags by their beginning, whatever the case and the accents."""

from __future__ import annotations

from uuid import UUID

from chitlaq.core.data.postgres import Database
from chitlaq.core.http.paging import Page, Paging
from chitlaq.core.text import folding
from chitlaq.services.search.tags import FoundTag

COUNTED = 100
"""Posts of a tag that are counted; of more, it is said that there are more."""


async def find(
    database: Database, viewer: UUID | None, text: str, paging: Paging, counted: int = COUNTED
) -> Page[FoundTag]:
    """Return tags that begin with a text, of which the viewer may see posts, the most used first."""
    beginning = folding.folded(text.strip()).removeprefix("#")
    rows = []
    if beginning:
        rows = await database.rows(
            "tags_beginning", viewer, beginning, counted + 1, paging.offset, paging.limit
        )
    found = [counted_to(counted, tag, posts) for tag, posts in rows]
    return Page(found, paging.page, paging.limit, None)


def counted_to(most: int, tag: str, posts: int) -> FoundTag:
    """Return a tag of which one post more than ``most`` was counted, if there are so many."""
    return FoundTag(tag, min(posts, most), posts <= most)
