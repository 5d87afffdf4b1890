"""The part of a text that is shown of what was found, and what of it matches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chitlaq.services.search.texts import SnippetPart, words
from chitlaq.services.search.texts.words import Word

WHOLE = 300
"""Characters of a text that is shown as a whole; of longer ones, a part of this length."""
BEFORE = 60
"""Characters before the first word that matches, about."""
CUT = "…"


def snippet(text: str, matches: Callable[[str], bool]) -> list[SnippetPart]:
    """Return a text, or the part of it with most matches, in parts that match and parts that do not.

    Args:
        text: as it was written: nothing is escaped.
        matches: says whether a folded word does.
    """
    found = [word for word in words.located(text) if matches(word.word)]
    start, end = _window(text, found)
    parts: list[SnippetPart] = []
    place = start
    for one in found:
        if one.start < place or one.end > end:
            continue
        # Spaces and marks between words that match do not part them.
        if parts and parts[-1].is_match and not text[place : one.start].strip():
            parts[-1] = SnippetPart(parts[-1].text + text[place : one.end], is_match=True)
        else:
            if one.start > place:
                parts.append(SnippetPart(text[place : one.start], is_match=False))
            parts.append(SnippetPart(text[one.start : one.end], is_match=True))
        place = one.end
    if place < end:
        parts.append(SnippetPart(text[place:end], is_match=False))
    if start > 0:
        parts.insert(0, SnippetPart(CUT, is_match=False))
    if end < len(text):
        parts.append(SnippetPart(CUT, is_match=False))
    return parts


def _window(text: str, found: Sequence[Word]) -> tuple[int, int]:
    if len(text) <= WHOLE:
        return 0, len(text)
    start = 0
    if found:
        best = max(
            found,
            key=lambda one: len(
                {
                    other.word
                    for other in found
                    if one.start <= other.start < one.start + WHOLE - BEFORE
                }
            ),
        )
        start = max(0, best.start - BEFORE)
    start = min(start, len(text) - WHOLE)
    end = start + WHOLE
    if start > 0:
        space = text.find(" ", start, start + BEFORE // 2)
        start = space + 1 if space >= 0 else start
    if end < len(text):
        space = text.rfind(" ", end - BEFORE // 2, end)
        end = space if space >= 0 else end
    return start, end
