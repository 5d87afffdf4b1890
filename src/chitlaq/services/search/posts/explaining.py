"""Say why a search for posts finds what it finds: how it was read, and what the index was asked."""

from __future__ import annotations

from time import perf_counter
from uuid import UUID

import msgspec

from chitlaq.core.data.postgres import Database
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
    """One way: what the index ``post_words_by_word`` was asked, and what was looked at after that."""

    why: str
    wanted: str
    checked: str | None
    found: int
    is_cut: bool
    milliseconds: float
    posts: list[ExplainedPost]


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
    search = finding.search(POSTS, database, lexicon, viewer, text, "relevance")
    terms = search.typed.terms
    forms = await lexicon.of(word for term in terms for word in term.words)
    ways: list[ExplainedTextWay] = []
    async for way in search.ways():
        asked = way.reading.asked()
        started = perf_counter()
        rows = await search.found(way, 0, SHOWN, by_time=not asked.parts)
        ways.append(
            ExplainedTextWay(
                way.why,
                asked.wanted,
                asked.checked,
                rows[0]["found"] if rows else 0,
                bool(rows and rows[0]["is_cut"]),
                round(1000 * (perf_counter() - started), 1),
                [
                    ExplainedPost(row["id"], row["username"], row["text"], round(row["points"], 2))
                    for row in rows
                ],
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
