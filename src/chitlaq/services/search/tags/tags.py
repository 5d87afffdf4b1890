"""Find tags by their beginning, whatever the case and the accents."""

from __future__ import annotations

from typing import Annotated, NamedTuple, Self
from uuid import UUID

import msgspec

from chitlaq.core.data.postgres import Database
from chitlaq.core.http import paging as cursors
from chitlaq.core.http.paging import Page, Paging
from chitlaq.core.text import folding
from chitlaq.services.search.tags import FoundTag

COUNTED = 100
"""Posts of a tag that are counted; of more, it is said that there are more."""


class Last(NamedTuple):
    """The last tag of a page, and how much it was used: tags are listed by that."""

    tag: Annotated[str, msgspec.Meta(pattern="^[^\0]*$")]
    uses: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]

    def encoded(self) -> str:
        return cursors.encoded(msgspec.msgpack.encode(self))

    @classmethod
    def of(cls, cursor: str) -> Self:
        """Read a cursor.

        Raises:
            Problem: 422 if it is none.
        """
        return cursors.decoded(cursor, lambda packed: msgspec.msgpack.decode(packed, type=cls))


async def find(
    database: Database,
    viewer: UUID | None,
    text: str,
    paging: Paging,
    last: Last | None = None,
    counted: int = COUNTED,
) -> Page[FoundTag]:
    """Return tags that begin with a text, of which the viewer may see posts, the most used first.

    They are those of the page, or else those after ``last``.
    """
    beginning = folding.folded(text.strip()).removeprefix("#")
    rows = []
    if beginning:
        skipped = 0 if last else paging.offset
        rows = await database.rows(
            "tags_beginning",
            viewer,
            beginning,
            counted + 1,
            skipped,
            paging.limit + 1,
            *(last or (None, None)),
        )
    shown = rows[: paging.limit]
    after = Last(shown[-1]["tag"], shown[-1]["uses"]).encoded() if len(rows) > len(shown) else None
    found = [counted_to(counted, row["spelling"], row["posts"]) for row in shown]
    return Page(found, paging.page, paging.limit, after)


def counted_to(most: int, tag: str, posts: int) -> FoundTag:
    """Return a tag of which one post more than ``most`` was counted, if there are so many."""
    return FoundTag(tag, min(posts, most), posts <= most)
