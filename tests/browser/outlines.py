"""What assistive technology is told of a page: its accessibility tree, kept beside the tests under a name.

Kept is what one moves by and acts on; text, which axe judges, and numbers, which change, are left out.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.async_api import Locator

KNOWN = Path(__file__).parent / "outlines"
SEEN = Path(__file__).parents[2] / ".outlines"
ROLES = (
    "alert", "banner", "button", "checkbox", "columnheader", "combobox", "contentinfo", "group", "heading",
    "img", "link", "log", "main", "navigation", "region", "rowheader", "status", "table", "textbox",
)  # fmt: skip
MEMBERS = (
    *ROLES, "article", "feed", "list", "radio", "search", "searchbox", "switch",
)  # fmt: skip
"""The same on members' pages, which have lists to go through and settings to choose."""
# One of several, too: a moment of another day has a date.
_NUMBERS = re.compile(r"(?<!level=)\d[\d.,:-]*(?: (?:ms|s|min|h|d|[kMGT]?B)\b)?(?: \d[\d.,:-]*)*")


# As the fixture `name` makes them.
_USERNAMES = re.compile(r"\bm[a-z]{12}\b")


async def require(part: Locator, name: str) -> None:
    """Compare a part of a page with what is kept; keep a new one by copying it from ``.outlines``."""
    assert not (difference := await differences(part, name, ROLES)), difference[0]


async def differences(part: Locator, name: str, roles: Sequence[str]) -> list[str]:
    """Return how a part of a page differs from what is kept of these roles, if it does."""
    line = re.compile(rf"( *)- '?({'|'.join(roles)})\b.*")
    lines = [one for one in (await part.aria_snapshot()).splitlines() if line.fullmatch(one)]
    text = "".join(_NUMBERS.sub("#", _USERNAMES.sub("NAME", one)) + "\n" for one in lines)
    seen, known = SEEN / f"{name}.outline.yaml", KNOWN / f"{name}.outline.yaml"
    before = known.read_text() if known.exists() else ""
    if text == before:
        return []
    SEEN.mkdir(exist_ok=True)
    seen.write_text(text)
    difference = difflib.unified_diff(before.splitlines(), text.splitlines(), lineterm="")
    return ["\n".join([*difference, f"If this is right: cp {seen} {known}"])]
