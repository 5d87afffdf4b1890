"""Find texts of one kind: posts, or messages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar
from uuid import UUID

from asyncpg import Record

from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.http.paging import Paging
from chitlaq.services.search.pages import FoundPage, Ignored
from chitlaq.services.search.texts import (
    MatchingPart,
    SnippetPart,
    compiling,
    language,
    snippets,
    understanding,
    words,
)
from chitlaq.services.search.texts.compiling import Reading
from chitlaq.services.search.texts.cursors import Place
from chitlaq.services.search.texts.forms import Lexicon
from chitlaq.services.search.texts.language import Typed
from chitlaq.services.search.texts.understanding import Way

CONSIDERED = 100
"""Texts that are ranked and counted: of more that match, the latest."""
EXAMINED = 5_000
"""Texts that match, of which one looks whether the viewer may read them and whether they have a phrase."""
COUNTED = 100
"""Texts with a word, up to which it is told how common it is."""

T = TypeVar("T")
Sort = Literal["relevance", "time"]


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A kind of texts.

    Args:
        name: the named queries ``NAME_found``, ``NAME_counted`` and ``NAME_parts`` ask for them.
        operators: that mean something for them.
        key: the columns by which ``NAME_parts`` knows them.
        made: makes an item of a row, its snippet, and what matches beside its text.
    """

    name: str
    operators: Collection[str]
    key: Sequence[str]
    made: Callable[[Record, Sequence[SnippetPart], Sequence[MatchingPart]], T]


@dataclass(frozen=True, slots=True)
class Search(Generic[T]):
    """What somebody searches for among texts of a kind."""

    kind: Kind[T]
    database: Database | Session
    lexicon: Lexicon
    viewer: UUID | None
    typed: Typed
    sort: Sort

    async def page(self, paging: Paging, place: Place | None) -> FoundPage[T]:
        """Return the texts that the viewer may read and that match, the most relevant or the latest first.

        Of many, the latest are ranked; the others follow them by time.
        """
        page = FoundPage[T]([], paging.page, paging.limit, None, 0, True, self.typed.ignored)
        async for way in self.ways(place.way if place else 0):
            page = await self._page(way, paging, place)
            if page.total or place:
                break
        return page

    async def ways(self, first: int = 0) -> AsyncIterator[Way]:
        """Give the ways to understand it, from a number on; none if nothing is left to search for."""
        if self.typed.is_empty:
            return
        forms = await self.lexicon.of(word for term in self.typed.terms for word in term.words)
        members = await understanding.named(self.database, self.typed, self.viewer)
        places = await self._places()
        reading = Reading(self.typed, forms, members, places)
        async for way in understanding.ways(reading, self._counts, first):
            yield way

    async def found(
        self,
        way: Way,
        offset: int,
        wanted: int,
        *,
        by_time: bool,
        before: UUID | None = None,
        after: UUID | None = None,
    ) -> Sequence[Record]:
        """Return some of what one way finds.

        Args:
            way: how it is understood.
            offset: those that are left out.
            wanted: how many.
            by_time: the latest first, or else by points.
            before: only those with an id below.
            after: by points, those that follow this one.
        """
        arguments = self.arguments(way, offset, wanted, by_time=by_time, before=before, after=after)
        return await self.database.rows(f"{self.kind.name}_found", *arguments)

    def arguments(
        self,
        way: Way,
        offset: int,
        wanted: int,
        *,
        by_time: bool,
        before: UUID | None = None,
        after: UUID | None = None,
    ) -> list[object]:
        """Return the arguments of the query of `found`."""
        asked = way.reading.asked()
        ends = [end for end in (compiling.id_at(self.typed.before), before) if end is not None]
        return [
            self.viewer,
            asked.wanted,
            asked.checked,
            asked.parts,
            asked.exact,
            asked.whole,
            min(ends, default=None),
            compiling.id_at(self.typed.after),
            by_time,
            max(CONSIDERED, offset + wanted) if by_time else CONSIDERED,
            EXAMINED,
            after,
            offset,
            wanted,
        ]

    async def _page(self, way: Way, paging: Paging, place: Place | None) -> FoundPage[T]:
        limit, offset = paging.limit, 0 if place else paging.offset
        # Without words there are no points.
        by_time = self.sort == "time" or not way.reading.asked().parts
        is_older = place.is_older if place else by_time
        after = place.after if place else None
        shown = place.shown if place else offset
        rows: list[Record] = []
        if is_older:
            rows += await self.found(way, offset, limit + 1, by_time=True, before=after)
        elif offset < CONSIDERED:
            rows += await self.found(way, offset, limit + 1, by_time=False, after=after)
            if place and not rows:
                # What was shown last may be gone: what follows it stands in its place.
                shown = max(0, shown - 1)
                rows += await self._after_what_is_gone(way, place.after, shown, limit + 1)
        counted = next(iter(rows), None)
        if counted is None and (place or offset):
            # What is said of all of them is said in each row.
            counted = next(iter(await self.found(way, 0, 1, by_time=is_older)), None)
        if not is_older and len(rows) <= limit and counted is not None and counted["is_cut"]:
            rows += await self.found(
                way,
                max(0, offset - CONSIDERED),
                limit + 1 - len(rows),
                by_time=True,
                before=counted["oldest_found"],
            )
        total, is_exact = (counted["found"], not counted["is_cut"]) if counted else (0, True)
        if place:
            total, is_exact = place.total, place.is_total_exact
        cursor = None
        if len(rows) > limit and counted is not None:
            last, following = rows[limit - 1], rows[limit]
            goes_on_older = following["is_by_time"]
            # After the ranked ones comes what is older than all of them.
            is_same = last["is_by_time"] == goes_on_older
            end = last["id"] if is_same else counted["oldest_found"]
            shown = min(CONSIDERED, shown + limit)
            cursor = Place(end, goes_on_older, shown, way.number, total, is_exact).encoded()
        items = await self._made(rows[:limit], way.reading)
        return FoundPage(
            items, paging.page, limit, cursor, total, is_exact, self._ignored(way.reading)
        )

    async def _after_what_is_gone(
        self, way: Way, after: UUID, offset: int, wanted: int
    ) -> Sequence[Record]:
        """Return the ranked texts from a place on, or nothing if the one that they should follow is the last.

        It was deleted, say, or later ones are ranked instead of it.
        """
        ranked = await self.found(way, 0, CONSIDERED, by_time=False)
        is_there = any(row["id"] == after for row in ranked)
        return () if is_there else ranked[offset : offset + wanted]

    async def _made(self, rows: Sequence[Record], reading: Reading) -> list[T]:
        lexemes = reading.lexemes()
        parts = await self._parts(rows) if lexemes else []
        forms = await self.lexicon.of(
            one.word for row in (*rows, *parts) for one in words.located(row["text"])
        )

        def matches(word: str) -> bool:
            found = forms[word]
            return (
                word in lexemes or found.beginning in lexemes or not lexemes.isdisjoint(found.stems)
            )

        matching: dict[UUID, list[MatchingPart]] = {}
        for part in parts:
            snippet = snippets.snippet(part["text"], matches)
            if any(one.is_match for one in snippet):
                matching.setdefault(part["id"], []).append(MatchingPart(part["kind"], snippet))
        return [
            self.kind.made(row, snippets.snippet(row["text"], matches), matching.get(row["id"], ()))
            for row in rows
        ]

    async def _parts(self, rows: Sequence[Record]) -> Sequence[Record]:
        """Return what these say besides their texts, asked for only of those that have pictures or polls."""
        asked = [row for row in rows if row["has_media"] or row.get("has_poll")]
        if not asked:
            return ()
        keys = ([row[column] for row in asked] for column in self.kind.key)
        return await self.database.rows(f"{self.kind.name}_parts", self.viewer, *keys)

    def _ignored(self, reading: Reading) -> Sequence[Ignored]:
        left_out = [self.typed.groups[number][0].text for number in sorted(reading.left_out)]
        return [*self.typed.ignored, *(Ignored(text, "not_found") for text in left_out)]

    async def _counts(self, queries: Sequence[str]) -> Sequence[int]:
        name = f"{self.kind.name}_counted"
        rows = await self.database.rows(name, self.viewer, queries, COUNTED, EXAMINED)
        return [row[0] for row in rows]

    async def _places(self) -> Mapping[str, Sequence[str]]:
        """Return the ids of the conversations that it names, by what was typed."""
        values = sorted({term.value for term in self.typed.terms if term.operator == "in"})
        if not values:
            return {}
        found: dict[str, list[str]] = {}
        for named, own in await self.database.rows("conversations_named", self.viewer, values):
            found.setdefault(named, []).append(str(own))
        return found


def search(
    kind: Kind[T],
    database: Database | Session,
    lexicon: Lexicon,
    viewer: UUID | None,
    text: str,
    sort: Sort,
) -> Search[T]:
    """Return the search for what was typed."""
    return Search(kind, database, lexicon, viewer, language.read(text, kind.operators), sort)
