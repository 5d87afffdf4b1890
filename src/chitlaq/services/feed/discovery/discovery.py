"""Explore, the feeds of hashtags, and which hashtags rise.

Explore is a ranking, and after its end the latest posts that are not in it. Both are the same for all, minus
what the viewer may not read or mutes.
"""

from __future__ import annotations

from struct import Struct
from typing import Any, NamedTuple
from uuid import UUID

from chitlaq.core.data.postgres import Database
from chitlaq.core.http.paging import Page, Paging, cursor_after, decoded, encoded
from chitlaq.core.text import tokens
from chitlaq.services.feed.discovery.ranking import MAX_PER_AUTHOR, MAX_POSTS, MAX_TAGS
from chitlaq.services.feed.discovery.schemas import TrendingTag, TrendingTags
from chitlaq.services.feed.rendering import Rendering
from chitlaq.services.feed.schemas import Post

LOOKED_AT = 400
"""Latest posts of which a page is chosen, so that it costs the same whoever writes how much."""
SPARE = 20
"""Posts of a tag that a page looks at beside those it needs: some may not be read."""
MAX_TURNS = 3
"""How often a page looks at so many while there is nothing to show; a short page says how to read on."""

# As PostgreSQL has them: whoever asks may make a cursor of any bytes.
_RANKED = Struct(">qh")
_LATEST = Struct(">q16s")


class Place(NamedTuple):
    """After which item a page begins: one of a ranking, by its rank, or else one of the latest posts."""

    ranking: int
    rank: int = 0
    before: UUID | None = None

    def cursor(self) -> str:
        if self.before is None:
            return encoded(_RANKED.pack(self.ranking, self.rank))
        return encoded(_LATEST.pack(self.ranking, self.before.bytes))

    @classmethod
    def of(cls, cursor: str) -> Place:
        """Read a cursor.

        Raises:
            Problem: 422 for what is none.
        """
        return decoded(cursor, cls._unpacked)

    @classmethod
    def _unpacked(cls, packed: bytes) -> Place:
        if len(packed) == _RANKED.size:
            return cls(*_RANKED.unpack(packed))
        ranking, before = _LATEST.unpack(packed)
        return cls(ranking, before=UUID(bytes=before))


async def explore(
    database: Database, rendering: Rendering, viewer: UUID | None, limit: int, cursor: str | None
) -> Page[Post]:
    """Return a page of explore; ``page`` is 1, for this list is read on by cursor only.

    Raises:
        Problem: 422 for an invalid cursor.
    """
    place = Place.of(cursor) if cursor else Place(0)
    rows: list[Any] = []
    after: Place | None = place
    if place.before is None:
        rows, place, is_more = await _ranked(database, viewer, place, limit)
        after = place if is_more else None
    if place.before is not None or after is None:
        latest, after = await _latest(database, viewer, place, limit - len(rows))
        rows += latest
    items = await rendering.posts(viewer, rows)
    return Page(items, 1, limit, after.cursor() if after else None)


async def tagged(
    database: Database, rendering: Rendering, viewer: UUID | None, tag: str, paging: Paging
) -> Page[Post]:
    """Return a page of the public posts with a hashtag, newest first."""
    folded = tokens.folded(tag)
    until = paging.offset + paging.limit
    rows: list[Any] = []
    before, take, is_end = paging.before, until + SPARE, False
    for _ in range(MAX_TURNS):
        wanted = until + 1 - len(rows)
        found = await database.rows("tagged_posts", viewer, folded, before, take, wanted)
        rows += [row[2:] for row in found if row["id"] is not None]
        looked_at, oldest = found[0][:2]
        is_end = looked_at < take
        if len(rows) > until or is_end:
            break
        before, take = oldest, LOOKED_AT
    items = rows[paging.offset : until]
    after = items[-1][0] if len(rows) > until else None if is_end else before
    posts = await rendering.posts(viewer, items)
    return Page(posts, paging.page, paging.limit, cursor_after(after) if after else None)


async def trending(database: Database, viewer: UUID | None) -> TrendingTags:
    """Return the tags that rise at the viewer's university, or everywhere for those not signed in."""
    rows = await database.rows("trending_tags", viewer, MAX_TAGS)
    return TrendingTags([TrendingTag(*row) for row in rows])


async def _ranked(
    database: Database, viewer: UUID | None, place: Place, limit: int
) -> tuple[list[Any], Place, bool]:
    """Return what a ranking has after a place, the place after that, and whether there is more."""
    rows = await database.rows("ranked_posts", viewer, place.ranking, place.rank, limit + 1)
    found = [row for row in rows if row["id"] is not None]
    ranking = rows[0]["ranking_id"]
    rank = found[:limit][-1]["rank"] if found else MAX_POSTS
    return [row[2:] for row in found[:limit]], Place(ranking, rank), len(found) > limit


async def _latest(
    database: Database, viewer: UUID | None, place: Place, limit: int
) -> tuple[list[Any], Place | None]:
    """Return the latest posts after a place, and the place after them, if there are more."""
    before = place.before
    for _ in range(MAX_TURNS):
        rows = await database.rows(
            "latest_posts", viewer, place.ranking, before, LOOKED_AT, MAX_PER_AUTHOR, limit + 1
        )
        looked_at, oldest = rows[0][:2]
        found = [row[2:] for row in rows if row["id"] is not None]
        if len(found) > limit:
            return found[:limit], place._replace(before=found[limit - 1][0]) if limit else place
        if looked_at < LOOKED_AT:
            return found, None
        before = oldest
        if found:
            break
    return found, place._replace(before=before)
