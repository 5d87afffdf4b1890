"""What words are found by besides themselves: their stems, which are PostgreSQL's to say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from chitlaq.core.data.postgres import Database

KEPT = 50_000
"""Words that a process keeps, of 200 bytes each."""


class Forms(NamedTuple):
    """Of a word: its stems, its beginning (or nothing), and whether it is one that nearly every text has."""

    stems: frozenset[str]
    beginning: str
    is_stop_word: bool


class Lexicon:
    """Knows the forms of words, and asks PostgreSQL for those of new ones: they never change."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, Forms] = {}

    async def of(self, words: Iterable[str]) -> Mapping[str, Forms]:
        """Return the forms of these words, by word."""
        wanted = set(words)
        known = {word: self._known[word] for word in wanted & self._known.keys()}
        missing = sorted(wanted - known.keys())
        if missing:
            rows = await self._database.rows("word_forms", missing)
            found = {word: _forms(word, forms, is_stop) for word, forms, is_stop in rows}
            known |= found
            if len(self._known) + len(found) > KEPT:
                self._known.clear()
            self._known |= found
        return known


def _forms(word: str, forms: Iterable[str], is_stop_word: bool) -> Forms:
    stems = frozenset(form for form in forms if form[0] != "~" and form != word)
    beginning = next((form for form in forms if form[0] == "~"), "")
    return Forms(stems, beginning, is_stop_word)
