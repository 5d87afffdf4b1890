"""Find posts by what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from asyncpg import Record

from chitlaq.core.data.postgres import Database
from chitlaq.core.http.paging import Paging
from chitlaq.services.search.posts import FoundPost
from chitlaq.services.search.texts import (
    FoundAuthor,
    FoundTextPage,
    Ignored,
    compiling,
    language,
    snippets,
    understanding,
    words,
)
from chitlaq.services.search.texts.compiling import Reading
from chitlaq.services.search.texts.cursors import Place
from chitlaq.services.search.texts.forms import Lexicon
from chitlaq.services.search.texts.understanding import Way

OPERATORS = language.OPERATORS - {"in"}
CONSIDERED = 300
"""Posts that are ranked and counted: of more that match, the latest."""
EXAMINED = 5_000
"""Posts that match, of which one looks whether the viewer may read them and whether they have a phrase."""
COUNTED = 100
"""Posts with a word, up to which it is told how common it is."""

Sort = Literal["relevance", "time"]


@dataclass(frozen=True, slots=True)
class Search:
    """A query of a viewer, as it is understood."""

    database: Database
    viewer: UUID | None
    reading: Reading
    by_time: bool

    async def ranked(self, after: UUID | None, offset: int, wanted: int) -> Sequence[Record]:
        """Return some of the latest that match, by points."""
        return await self._found(None, after, CONSIDERED, offset, wanted, by_time=False)

    async def latest(self, before: UUID | None, offset: int, wanted: int) -> Sequence[Record]:
        """Return some of those that match before an id, the latest first."""
        considered = max(CONSIDERED, offset + wanted)
        return await self._found(before, None, considered, offset, wanted, by_time=True)

    async def _found(
        self,
        before: UUID | None,
        after: UUID | None,
        considered: int,
        offset: int,
        wanted: int,
        *,
        by_time: bool,
    ) -> Sequence[Record]:
        asked = self.reading.asked()
        typed = self.reading.typed
        ends = [end for end in (compiling.id_at(typed.before), before) if end is not None]
        return await self.database.rows(
            "posts_found",
            self.viewer,
            asked.wanted,
            asked.checked,
            asked.parts,
            asked.exact,
            asked.whole,
            min(ends, default=None),
            compiling.id_at(typed.after),
            by_time,
            considered,
            EXAMINED,
            after,
            offset,
            wanted,
        )


async def find(
    database: Database,
    lexicon: Lexicon,
    viewer: UUID | None,
    text: str,
    sort: Sort,
    paging: Paging,
    place: Place | None,
) -> FoundTextPage[FoundPost]:
    """Return the posts that the viewer may read and that match, the most relevant or the latest first.

    Of many, the latest are ranked; the others follow them by time.
    """
    typed = language.read(text, OPERATORS)
    if typed.is_empty:
        return FoundTextPage([], paging.page, paging.limit, None, 0, True, typed.ignored)
    members = await understanding.named(database, typed, viewer)

    async def count(queries: Sequence[str]) -> Sequence[int]:
        return [row[0] for row in await database.rows("posts_counted", queries, COUNTED)]

    page: FoundTextPage[FoundPost] | None = None
    async for way in understanding.ways(lexicon, typed, members, count, place.way if place else 0):
        by_time = sort == "time" or not way.reading.asked().parts
        search = Search(database, viewer, way.reading, by_time)
        page = await _page(search, lexicon, way, paging, place)
        if page.items or page.total or place:
            break
    if page is None:
        return FoundTextPage([], paging.page, paging.limit, None, 0, True, typed.ignored)
    return page


async def _page(
    search: Search, lexicon: Lexicon, way: Way, paging: Paging, place: Place | None
) -> FoundTextPage[FoundPost]:
    """Return a page of what one way finds."""
    limit, offset = paging.limit, 0 if place else paging.offset
    rows: list[Record] = []
    is_older = place.is_older if place else search.by_time
    if is_older:
        rows += await search.latest(place.after if place else None, offset, limit + 1)
    else:
        after = place.after if place else None
        rows += await search.ranked(after, min(offset, CONSIDERED), limit + 1)
    counted = rows[0] if rows else None
    if not is_older and len(rows) <= limit:
        if counted is None and (place or offset):
            counted = next(iter(await search.ranked(None, 0, 1)), None)
        if counted is not None and counted["is_cut"]:
            ranked = len(rows)
            rows += await search.latest(
                counted["oldest_found"], max(0, offset - CONSIDERED), limit + 1 - ranked
            )
    elif counted is None and offset:
        counted = next(iter(await search.latest(None, 0, 1)), None)
    total, is_exact = (counted["found"], not counted["is_cut"]) if counted else (0, True)
    if place:
        total, is_exact = place.total, place.is_total_exact
    cursor = None
    if len(rows) > limit and counted is not None:
        last, following = rows[limit - 1], rows[limit]
        is_older = following["is_by_time"]
        # After the ranked ones comes what is older than all of them.
        after = last["id"] if last["is_by_time"] == is_older else counted["oldest_found"]
        cursor = Place(after, is_older, way.number, total, is_exact).encoded()
    left_out = [
        Ignored(search.reading.typed.groups[n][0].text, "not_found")
        for n in sorted(way.reading.left_out)
    ]
    items = await _shown(rows[:limit], lexicon, way.reading)
    ignored = [*search.reading.typed.ignored, *left_out]
    return FoundTextPage(items, paging.page, limit, cursor, total, is_exact, ignored)


async def _shown(rows: Sequence[Record], lexicon: Lexicon, reading: Reading) -> list[FoundPost]:
    lexemes = reading.lexemes()
    forms = await lexicon.of(one.word for row in rows for one in words.located(row["text"]))

    def matches(word: str) -> bool:
        found = forms[word]
        return word in lexemes or found.beginning in lexemes or not lexemes.isdisjoint(found.stems)

    return [
        FoundPost(
            row["id"],
            FoundAuthor(row["username"], row["display_name"], row["avatar_url"]),
            snippets.snippet(row["text"], matches),
            row["content_warning"],
            row["visibility"],
            row["reply_to"],
            row["has_media"],
            row["has_poll"],
            row["likes"],
            row["replies"],
            row["reposts"],
            row["created_at"],
            row["edited_at"],
        )
        for row in rows
    ]
