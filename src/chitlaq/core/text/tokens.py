"""Hashtags, mentions and links: the one grammar of posts, profiles and messages (docs/text.md).

`web/site/static/text.js` does the same in browsers; its patterns are these, character by character, and
the vectors in docs/text-vectors.json hold for both.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Literal, NamedTuple

import regex

MAX_TAGS = 30
MAX_MENTIONS = 50
MAX_TAG_LENGTH = 100
"""Code points, of the spelling and of the folded form."""

PIECE = (
    # The address of a resource, with whatever scheme: there are no tags or mentions in it.
    r'(?<![A-Za-z0-9+.\-_@\/])(?<address>[A-Za-z][A-Za-z0-9+.\-]{0,30}:\/\/[^\p{Z}\p{Cc}\p{Bidi_C}<>"。、「」『』【】《》〈〉]+)'
    # A tag or a mention, not within a word or a path; an emoji's last code point may be a mark.
    r"|(?:(?<![\p{L}\p{M}\p{N}_\u200C\u200D&#＃@＠\/])|(?<=[\uFE0F\u20E3]))(?:"
    r"[#＃](?![\p{M}\u200C\u200D])"
    r"(?<tag>[\p{L}\p{M}\p{N}_\u200C\u200D]+(?:[·׳״་・][\p{L}\p{M}\p{N}_\u200C\u200D]+)*)"
    r"|[@＠](?=_*[A-Za-z0-9])(?<mention>[A-Za-z0-9_]{3,30})"
    r"(?![\p{Script=Latin}\p{M}\p{N}_@＠]|\.[\p{L}\p{N}]))"
)
LINK = (
    r"[Hh][Tt][Tt][Pp][Ss]?:\/\/[\p{L}\p{N}][\p{L}\p{M}\p{N}\u200C\u200D_\-]*"
    r"(?:\.[\p{L}\p{N}][\p{L}\p{M}\p{N}\u200C\u200D_\-]*)*\.?(?::[0-9]{1,5})?(?:[\/?#].*)?"
)
ENDINGS = ".,;:!?'…‥．，！？；：؟،؛۔।॥։።»”’›«“‘‹"
OPENED_BY = {
    ")": "(", "]": "[", "}": "{", "）": "（", "］": "［", "｝": "｛",
}  # fmt: skip
"""Closing brackets, each with the one that opens it."""

_PIECE = regex.compile(PIECE)
_SIGNS = ("#", "＃")
_LINK = regex.compile(LINK)
_LETTER = regex.compile(r"\p{L}")
_IGNORED = regex.compile(r"\p{Default_Ignorable_Code_Point}+")
_DOTTED = regex.compile(r"i\u0307+")


class Tag(NamedTuple):
    """A hashtag: ``folded`` is equal for equal tags, ``spelling`` is as somebody wrote it."""

    folded: str
    spelling: str


class Parsed(NamedTuple):
    """What a text has, each once, in the order of its first occurrence."""

    tags: tuple[Tag, ...]
    mentions: tuple[str, ...]
    links: tuple[str, ...]


NOTHING = Parsed((), (), ())


class Piece(NamedTuple):
    """A part of a text. ``target``: a tag's folded form, a mention's username; of a link, the address."""

    kind: Literal["text", "tag", "mention", "link"]
    text: str
    target: str = ""


def parsed(text: str) -> Parsed:
    """Return a text's first `MAX_TAGS` tags and `MAX_MENTIONS` usernames, and all its links."""
    if not _may_have_tokens(text):
        return NOTHING
    tags: dict[str, Tag] = {}
    mentions: dict[str, None] = {}
    links: dict[str, None] = {}
    for found in _PIECE.finditer(text):
        if body := found["tag"]:
            if (tag := _tag(body)) is not None:
                tags.setdefault(tag.folded, tag)
        elif name := found["mention"]:
            mentions[name.lower()] = None
        elif (link := _link(found["address"])) is not None:
            links[link] = None
    return Parsed(tuple(tags.values())[:MAX_TAGS], tuple(mentions)[:MAX_MENTIONS], tuple(links))


def pieces(text: str) -> Iterator[Piece]:
    """Yield a text in pieces, as it is shown; their texts joined are the text."""
    start = 0
    for found in _PIECE.finditer(text) if _may_have_tokens(text) else ():
        piece = _piece(found)
        if piece is None:
            continue
        if found.start() > start:
            yield Piece("text", text[start : found.start()])
        yield piece
        start = found.start() + len(piece.text)
    if start < len(text):
        yield Piece("text", text[start:])


def _piece(found: regex.Match[str]) -> Piece | None:
    if body := found["tag"]:
        tag = _tag(body)
        return None if tag is None else Piece("tag", found[0], tag.folded)
    if name := found["mention"]:
        return Piece("mention", found[0], name.lower())
    link = _link(found["address"])
    return None if link is None else Piece("link", link, link)


def tag_of(name: str) -> str | None:
    """Return the folded form of a hashtag, with or without its sign; None if a post cannot have it."""
    found = _PIECE.fullmatch(name if name[:1] in _SIGNS else f"#{name}")
    tag = _tag(found["tag"]) if found is not None and found["tag"] else None
    return tag.folded if tag is not None else None


def folded(text: str) -> str:
    """Return what all spellings of a tag have in common, whatever their case, composition and joiners."""
    composed = unicodedata.normalize("NFC", text)
    # Character by character, for the form of a letter must not depend on its neighbours (σ and ς); and up
    # and down again, for JavaScript has no other folding that makes ß and ss one.
    cased = "".join(_folded_characters(composed))
    return unicodedata.normalize(
        "NFC", _DOTTED.sub("i", unicodedata.normalize("NFC", _IGNORED.sub("", cased)))
    )


def _folded_characters(text: str) -> Iterator[str]:
    for one in text:
        for lower in one.lower().upper():
            yield lower.lower()


def _may_have_tokens(text: str) -> bool:
    return "#" in text or "@" in text or "://" in text or "＃" in text or "＠" in text


def _tag(body: str) -> Tag | None:
    spelling = unicodedata.normalize("NFC", body)
    if len(spelling) > MAX_TAG_LENGTH:
        return None
    tag = Tag(folded(spelling), spelling)
    return tag if len(tag.folded) <= MAX_TAG_LENGTH and _LETTER.search(tag.folded) else None


def _link(address: str) -> str | None:
    """Return the link that an address is, without the punctuation of the sentence around it."""
    end = len(address)
    surplus: dict[str, int] = {}
    while True:
        last = address[end - 1]
        if last in OPENED_BY:
            if last not in surplus:
                surplus[last] = address.count(last, 0, end) - address.count(OPENED_BY[last], 0, end)
            if surplus[last] <= 0:
                break
            surplus[last] -= 1
        elif last not in ENDINGS:
            break
        end -= 1
    link = address[:end]
    return link if _LINK.fullmatch(link) else None
