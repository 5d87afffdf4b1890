"""Texts and emoji, counted and checked as people see them (UAX #29, UTS #51)."""

from __future__ import annotations

import regex

from chitlaq.core.http import problems
from chitlaq.core.text import written
from chitlaq.services.websocket.chat.schemas import MAX_GRAPHEMES

MAX_EMOJI_BYTES = 64

# UTS #51, ED-17a, but for what is shown as text by default: digits, and signs without a selector.
_EMOJI = regex.compile(
    r"\p{RI}{2}|[0-9#*]\uFE0F\u20E3"
    r"|(?!\p{RI})(?:\p{Emoji_Presentation}\uFE0F?|\p{Emoji}\uFE0F|\p{Emoji_Modifier_Base})\p{Emoji_Modifier}?"
    r"(?:[\U000E0020-\U000E007E]+\U000E007F)?(?:\u200D\p{Emoji}\uFE0F?\p{Emoji_Modifier}?)*"
)
_SHOWN_AS_TEXT = regex.compile(r"\p{Emoji_Presentation=No}")


def checked(text: str) -> str:
    """Return a message's text as it is stored.

    Raises:
        Problem: 422 if it is blank or too long.
    """
    try:
        return written.checked(text, MAX_GRAPHEMES)
    except ValueError as error:
        raise problems.invalid({"text": str(error)}) from None


def require_emoji(text: str) -> None:
    """Refuse what is not exactly one emoji.

    Raises:
        Problem: 422.
    """
    is_short = len(text.encode("utf-8", "surrogatepass")) <= MAX_EMOJI_BYTES
    found = _EMOJI.fullmatch(text) if is_short else None
    if found is None or (len(text) == 1 and _SHOWN_AS_TEXT.match(text)):
        raise problems.invalid({"emoji": "is not exactly one emoji"})
