"""Texts and emoji, counted and checked as people see them (UAX #29, UTS #51)."""

from __future__ import annotations

import re

import regex

from chitlaq.core.http import problems
from chitlaq.services.websocket.chat.schemas import MAX_GRAPHEMES

MAX_EMOJI_BYTES = 64
MAX_MENTIONS = 50

_GRAPHEME = regex.compile(r"\X")
# UTS #51, ED-17a, but for what is shown as text by default: digits, and signs without a selector.
_EMOJI = regex.compile(
    r"\p{RI}{2}|[0-9#*]\uFE0F\u20E3"
    r"|(?!\p{RI})(?:\p{Emoji_Presentation}\uFE0F?|\p{Emoji}\uFE0F|\p{Emoji_Modifier_Base})\p{Emoji_Modifier}?"
    r"(?:[\U000E0020-\U000E007E]+\U000E007F)?(?:\u200D\p{Emoji}\uFE0F?\p{Emoji_Modifier}?)*"
)
_SHOWN_AS_TEXT = regex.compile(r"\p{Emoji_Presentation=No}")
_MENTION = re.compile(r"(?<![\w@/])@([A-Za-z0-9_]{3,30})(?![\w@])")


def require_text(text: str) -> None:
    """Refuse a message that is blank, too long, or holds what cannot be stored.

    Raises:
        Problem: 422.
    """
    if not text.strip() or "\x00" in text:
        raise problems.invalid({"text": "must not be empty, and without NUL"})
    # Each character is a grapheme, or less: only what is longer must be counted.
    if len(text) > MAX_GRAPHEMES:
        count = sum(1 for _ in _GRAPHEME.finditer(text))
        if count > MAX_GRAPHEMES:
            raise problems.invalid(
                {"text": f"has {count} characters; a message may have {MAX_GRAPHEMES}"}
            )


def require_emoji(text: str) -> None:
    """Refuse what is not exactly one emoji.

    Raises:
        Problem: 422.
    """
    is_short = len(text.encode("utf-8", "surrogatepass")) <= MAX_EMOJI_BYTES
    found = _EMOJI.fullmatch(text) if is_short else None
    if found is None or (len(text) == 1 and _SHOWN_AS_TEXT.match(text)):
        raise problems.invalid({"emoji": "is not exactly one emoji"})


def mentions(text: str) -> tuple[str, ...]:
    """Return the usernames that a text names as ``@name``, in lower case, each once."""
    if "@" not in text:
        return ()
    names = dict.fromkeys(name.lower() for name in _MENTION.findall(text))
    return tuple(names)[:MAX_MENTIONS]
