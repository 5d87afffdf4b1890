"""What members wrote, as the server puts it into pages: the same nodes that `static/app/dom.js` makes.

What they may write is decided when it is stored (docs/text.md); here it becomes text and links, never markup.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from urllib.parse import quote

from markupsafe import Markup, escape

from chitlaq.core.text import tokens
from chitlaq.web.words import Words

FOLDED_LINES = 12
FOLDED_LENGTH = 800
_MINUTE, _HOUR, _DAY, _WEEK = 60, 3600, 86_400, 604_800
_LINK = Markup('<a href="{}" rel="nofollow noopener ugc">{}</a>')
_OWN = Markup('<a href="{}">{}</a>')


def written(text: str) -> Markup:
    """Return a text with its tags, mentions and links as links."""
    return Markup("").join(_node(piece) for piece in tokens.pieces(text))


def plain(text: str) -> Markup:
    """Return what somebody wrote, as it is: what may hide in it was refused when it was stored."""
    return escape(text)


def is_long(text: str) -> bool:
    """Whether a list shows only the beginning of a text."""
    return len(text) > FOLDED_LENGTH or text.count("\n") >= FOLDED_LINES


def encoded(text: str) -> str:
    """Return a text as a part of a path, as JavaScript's `encodeURIComponent` does."""
    return quote(text, safe="!~*'()")


def hue(username: str) -> int:
    """Return which of eight colours stands for a member without a picture."""
    return sum(map(ord, username)) % 8


def when(moment: str, now: datetime, words: Words) -> str:
    """Return how long ago something was, and from a week on the day (UTC)."""
    at = datetime.fromisoformat(moment)
    seconds = max(int((now - at).total_seconds()), 0)
    if seconds < _MINUTE:
        return words("time.now")
    for limit, unit, key in ((_HOUR, _MINUTE, "m"), (_DAY, _HOUR, "h"), (_WEEK, _DAY, "d")):
        if seconds < limit:
            return words(f"time.{key}", n=seconds // unit)
    at = at.astimezone(UTC)
    month = words("time.months").split()[at.month - 1]
    return words(
        "time.day" if at.year == now.year else "time.date", day=at.day, month=month, year=at.year
    )


def left(moment: str, now: datetime, words: Words) -> str:
    """Return how long it is until something ends, rounded up."""
    seconds = max(math.ceil((datetime.fromisoformat(moment) - now).total_seconds()), 0)
    for limit, unit, key in ((_HOUR, _MINUTE, "m"), (_DAY, _HOUR, "h")):
        if seconds < limit:
            return words("poll.left", time=words(f"time.{key}", n=-(-seconds // unit)))
    return words("poll.left", time=words("time.d", n=-(-seconds // _DAY)))


def _node(piece: tokens.Piece) -> Markup:
    match piece.kind:
        case "link":
            return _LINK.format(piece.target, piece.text)
        case "mention":
            return _OWN.format(f"/@{piece.target}", piece.text)
        case "tag":
            return _OWN.format(f"/tags/{encoded(piece.target)}", piece.text)
    return escape(piece.text)
