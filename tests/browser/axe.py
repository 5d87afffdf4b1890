"""axe-core judges whether a page is accessible: WCAG 2.2 AA, as far as a program can tell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.async_api import Page

SOURCE = Path(__file__).parent / "vendor" / "axe.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


async def faults(page: Page, *rules: str) -> list[str]:
    """Return what is wrong with a page, by rule and element; judge only these rules, or all."""
    if not await page.evaluate("() => typeof axe === 'object'"):
        await page.evaluate(SOURCE.read_text())
    only = {"type": "rule", "values": list(rules)} if rules else {"type": "tag", "values": TAGS}
    found = await page.evaluate(
        "only => axe.run({runOnly: only, resultTypes: ['violations']})", only
    )
    return [
        f"{one['id']}: {node['html'][:150]} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]
