"""What assistive technology is told of a page: its accessibility tree, kept beside the tests under a name.

Kept is what one moves by and acts on; text, which axe judges, and numbers, which change, are left out.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.async_api import Locator

KNOWN = Path(__file__).parent / "outlines"
SEEN = Path(__file__).parents[2] / ".screens"
ROLES = (
    "alert", "banner", "button", "checkbox", "columnheader", "combobox", "contentinfo", "group", "heading",
    "img", "link", "log", "main", "navigation", "region", "rowheader", "status", "table", "textbox",
)  # fmt: skip
_LINE = re.compile(rf"( *)- '?({'|'.join(ROLES)})\b.*")
# One of several, too: a moment of another day has a date.
_NUMBERS = re.compile(r"(?<!level=)\d[\d.,:-]*(?: (?:ms|s|min|h|d|[kMGT]?B)\b)?(?: \d[\d.,:-]*)*")


async def require(part: Locator, name: str) -> None:
    """Compare a part of a page with what is kept; keep a new one by copying it from ``.screens``."""
    lines = [one for one in (await part.aria_snapshot()).splitlines() if _LINE.fullmatch(one)]
    text = "".join(_NUMBERS.sub("#", one) + "\n" for one in lines)
    seen, known = SEEN / f"{name}.outline.yaml", KNOWN / f"{name}.outline.yaml"
    SEEN.mkdir(exist_ok=True)
    seen.write_text(text)
    before = known.read_text() if known.exists() else ""
    difference = "\n".join(
        difflib.unified_diff(before.splitlines(), text.splitlines(), lineterm="")
    )
    assert text == before, f"{difference}\nIf this is right: cp {seen} {known}"
