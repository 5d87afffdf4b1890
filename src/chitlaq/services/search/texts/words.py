"""The words of a text as they are indexed (`search.text_words`), and where in the text they are."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import regex

from chitlaq.core.text import folding

_SPACELESS = (
    r"\u0E00-\u0FFF\u1000-\u109F\u1780-\u17FF\u3040-\u30FF\u3400-\u4DBF\u4E00-\u9FFF\uAC00-\uD7AF"
)
_SINGLE = rf"{_SPACELESS}\u2600-\u27BF\U0001F000-\U0001FAFF"
_WORD = regex.compile(rf"[{_SINGLE}]|[^\s\p{{P}}\p{{Cc}}\p{{S}}{_SINGLE}]+")


class Word(NamedTuple):
    """A folded word, and the part of the text that it is."""

    word: str
    start: int
    end: int


def split(folded_text: str) -> list[str]:
    """Return the words of a folded text; each emoji is one, and each letter of scripts without spaces."""
    return [found[0][: folding.MAX_WORD] for found in _WORD.finditer(folded_text)]


def located(text: str) -> Iterator[Word]:
    """Yield the words of a text with their places in it.

    Each character is folded by itself. Where that differs from folding the whole, a word is not found in its
    place, and so not emphasized.
    """
    folded: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        one = _folded(character)
        folded.append(one)
        places += [place] * len(one)
    places.append(len(text))
    for found in _WORD.finditer("".join(folded)):
        start, end = places[found.start()], places[found.end() - 1] + 1
        # Marks that fold to nothing belong to the letter before them.
        while end < len(text) and not folded[end] and not text[end].isspace():
            end += 1
        yield Word(found[0][: folding.MAX_WORD], start, end)


@lru_cache(4096)
def _folded(character: str) -> str:
    return folding.folded(character)
