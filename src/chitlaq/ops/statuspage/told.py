"""Text that an operator writes for members, as the page, its feed and mails can show it."""

from __future__ import annotations

import re

from chitlaq.core.errors import OperatorError
from chitlaq.core.visible import is_one_line, is_visible

LONGEST_TITLE = 200
LONGEST_TEXT = 2000

# XML 1.0 has no way to write these, so a feed with one could not be read.
_NOT_XML = re.compile("[^\\t\\n\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


def title(text: str) -> str:
    """Return a title without spaces around it.

    Raises:
        OperatorError: it is empty, too long, not one line, or has characters that act or hide.
    """
    text = text.strip()
    if not text or not is_one_line(text):
        raise OperatorError("A title is one line of visible text.")
    return _checked(text, LONGEST_TITLE)


def body(text: str) -> str:
    """Return a text of several lines, which may be empty, without spaces around it.

    Raises:
        OperatorError: it is too long, or has characters that act or hide.
    """
    text = text.strip()
    if not is_visible(text):
        raise OperatorError(
            "The text has control or format characters that would hide or reorder words: write it again"
            " without them."
        )
    return _checked(text, LONGEST_TEXT)


def _checked(text: str, longest: int) -> str:
    if len(text) > longest:
        raise OperatorError(f"The text has {len(text)} characters, and {longest} are allowed.")
    if found := _NOT_XML.search(text):
        raise OperatorError(f"The text has a character that no feed can carry: {found[0]!a}.")
    return text
