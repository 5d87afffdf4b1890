"""Text that somebody else wrote, as it may be shown: nothing in it acts on a terminal, or hides.

A terminal obeys control characters (C0, DEL, C1): colours, titles, the clipboard, and questions that it
answers as if the operator had typed. Bidirectional controls show words in another order than they have;
other format characters show nothing, or hide what follows. All of them are written as in JSON:
``\\u001b``. So JSON stays the same JSON, and a reader sees what there was.
"""

from __future__ import annotations

import re
import unicodedata

# Controls but tab and line feed; format characters but the joiners of Persian, Indic and emoji, the
# signs of numbers (U+0600 and others, which show), and the selectors of variants; surrogates; separators
# of lines and paragraphs; tags; fillers and whatever else Unicode lets a program show as nothing.
_UNSEEN = (
    "\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\xad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180e\\u200b\\u200e\\u200f"
    "\\u2028-\\u202e\\u2060-\\u206f\\u3164\\ud800-\\udfff\\ufeff\\uffa0\\ufff0-\\ufffb\\U0001bca0-\\U0001bca3"
    "\\U0001d173-\\U0001d17a\\U000e0000-\\U000e00ff\\U000e01f0-\\U000e0fff"
)
_ACTING = re.compile(f"[{_UNSEEN}]")
_ACTING_OR_BREAKING = re.compile(f"[{_UNSEEN}\\t\\n]")
# In what members write, what shows nothing is often part of the writing: a soft hyphen, the break between
# words of Khmer (U+200B), marks of direction, a Mongolian vowel separator, the tags in a flag. What overrides
# or isolates directions, acts on a terminal, or has no use, is not.
_FLAG = "\U0001f3f4[\U000e0020-\U000e007e]{1,30}\U000e007f"
_UNUSED = re.compile(
    f"({_FLAG})|[\\x00-\\x08\\x0e-\\x1f\\x7f-\\x84\\x86-\\x9f\\u115f\\u1160\\u17b4\\u17b5\\u202a-\\u202e"
    "\\u2065-\\u206f\\u3164\\ud800-\\udfff\\ufeff\\uffa0\\ufff0-\\ufffb\\U0001bca0-\\U0001bca3"
    "\\U0001d173-\\U0001d17a\\U000e0000-\\U000e00ff\\U000e01f0-\\U000e0fff]"
)
_LINE_BREAK = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
# A sign of Braille without a dot.
_BLANK = "\u2800"
_BREAKS = {"\n": "\\n", "\t": "\\t"}


def visible(text: str) -> str:
    """Return a text of several lines with everything escaped but tabs and line feeds."""
    return _ACTING.sub(_escaped, text)


def one_line(text: str) -> str:
    """Return a text on one line, with tabs and line feeds escaped too: it cannot pose as another line."""
    return _ACTING_OR_BREAKING.sub(_escaped, text)


def is_one_line(text: str) -> bool:
    """Whether a text is one line with nothing to escape."""
    return _ACTING_OR_BREAKING.search(text) is None


def is_visible(text: str) -> bool:
    """Whether a text of several lines has nothing to escape."""
    return _ACTING.search(text) is None


def cleaned(text: str) -> str:
    """Return a text of several lines, that a member wrote, without what acts or has no use in writing.

    What is part of scripts and emoji stays: joiners, marks of direction, selectors of variants.
    """
    if text.isascii() and text.isprintable():
        return text
    return _UNUSED.sub(r"\1", _LINE_BREAK.sub("\n", text))


def said(text: str) -> str:
    """Return a text of several lines as `cleaned`, or an empty one if it shows nothing."""
    return kept if is_seen(kept := cleaned(text)) else ""


def is_seen(text: str) -> bool:
    """Whether a text shows something: a letter, a digit, a sign; not only spaces, accents and joiners."""
    return any(unicodedata.category(one)[0] in "LNPS" and one != _BLANK for one in text)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character in _BREAKS:
        return _BREAKS[character]
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
