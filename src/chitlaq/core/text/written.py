"""Texts of several lines that members write: posts, profiles and messages, as they are stored."""

from __future__ import annotations

import regex

from chitlaq.core.visible import cleaned, is_seen

_GRAPHEME = regex.compile(r"\X")


def checked(text: str, max_graphemes: int) -> str:
    """Return a text as it is stored: without what acts on its surroundings (`visible.cleaned`).

    Raises:
        ValueError: it has NUL, shows nothing, or is longer; the message says which.
    """
    if "\x00" in text:
        raise ValueError("must not contain NUL characters")
    kept = cleaned(text)
    if not is_seen(kept):
        raise ValueError("must not be empty")
    # Each character is a grapheme, or less: only what is longer must be counted.
    if len(kept) > max_graphemes:
        count = graphemes(kept)
        if count > max_graphemes:
            raise ValueError(f"has {count} characters; it may have {max_graphemes}")
    return kept


def graphemes(text: str) -> int:
    """Return the length of a text as people count it (UAX #29)."""
    return sum(1 for _ in _GRAPHEME.finditer(text))
