"""Say why a search for posts finds what it finds: how it was read, and which indexes were asked what."""

from __future__ import annotations

from time import perf_counter
from uuid import UUID

import msgspec

from chitlaq.core.data.postgres import Database
from chitlaq.services.search.members.explaining import indexes_read, read_since
from chitlaq.services.search.pages import Ignored
from chitlaq.services.search.posts.posts import POSTS
from chitlaq.services.search.texts import finding
from chitlaq.services.search.texts.forms import Lexicon

SHOWN = 12
"""Posts of each way."""


class ExplainedTerm(msgspec.Struct, frozen=True):
    """A word or operator, and what else it is found by."""

    text: str
    words: list[str]
    forms: list[str]
    operator: str


class ExplainedPost(msgspec.Struct, frozen=True):
    id: UUID
    username: str
    text: str
    points: float


class ExplainedTextWay(msgspec.Struct, frozen=True):
    """One way: what the index of words was asked, and what was looked at after that."""

    why: str
    wanted: str
    checked: str | None
    found: int
    is_cut: bool
    milliseconds: float
    posts: list[ExplainedPost]
    indexes: dict[str, int]
    """How often each was looked into."""


class TextExplanation(msgspec.Struct, frozen=True):
    text: str
    terms: list[ExplainedTerm]
    ignored: list[Ignored]
    ways: list[ExplainedTextWay]


async def explain(database: Database, viewer: UUID | None, text: str) -> TextExplanation:
    """Search for posts as the route does, and say what was done.

    Args:
        database: with the role and the queries of search-service.
        viewer: who searches; None is somebody who is not signed in.
        text: what is typed.
    """
    lexicon = Lexicon(database)
    ways: list[ExplainedTextWay] = []
    # PostgreSQL counts for a transaction what it has looked into.
    async with database.transaction() as session:
        search = finding.search(POSTS, session, lexicon, viewer, text, "relevance")
        terms = search.typed.terms
        forms = await lexicon.of(word for term in terms for word in term.words)
        async for way in search.ways():
            asked = way.reading.asked()
            before = await indexes_read(session)
            started = perf_counter()
            rows = await search.found(way, 0, SHOWN, by_time=not asked.parts)
            milliseconds = round(1000 * (perf_counter() - started), 1)
            ways.append(
                ExplainedTextWay(
                    way.why,
                    asked.wanted,
                    asked.checked,
                    rows[0]["found"] if rows else 0,
                    bool(rows and rows[0]["is_cut"]),
                    milliseconds,
                    [
                        ExplainedPost(
                            row["id"], row["username"], row["text"], round(row["points"], 2)
                        )
                        for row in rows
                    ],
                    read_since(before, await indexes_read(session)),
                )
            )
            if rows:
                break
    explained = [
        ExplainedTerm(
            term.text,
            list(term.words),
            sorted(
                {
                    form
                    for word in term.words
                    for form in (*forms[word].stems, forms[word].beginning)
                    if form
                }
            ),
            f"{term.operator}:{term.value}" if term.operator else "",
        )
        for term in terms
    ]
    return TextExplanation(text, explained, search.typed.ignored, ways)
