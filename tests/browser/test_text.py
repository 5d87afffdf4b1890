"""Browsers find the same tags, mentions and links as the server, in every text."""

from __future__ import annotations

import sys
import unicodedata
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from chitlaq.core.text import tokens, written
from tests.browser.conftest import LIMIT_MS
from tests.core.text.test_tokens import BROWSERS, VECTORS, texts

if TYPE_CHECKING:
    from playwright.async_api import Browser

MODULE = "data:text/javascript;base64," + b64encode(BROWSERS.encode()).decode()
PARSED = "async ([module, texts]) => texts.map((await import(module)).parsed)"
PIECES = """async ([module, texts]) => {
    const {pieces} = await import(module);
    return texts.map((text) => pieces(text).map(({kind, text, folded, username}) =>
        [kind, text, folded ?? username ?? (kind === "link" ? text : "")]));
}"""
FOLDED = "async ([module, texts]) => texts.map((await import(module)).folded)"
LENGTHS = "async ([module, texts]) => texts.map((await import(module)).graphemes)"


async def asked(browser: Browser, script: str, asked_for: list[str]) -> list[Any]:
    context = await browser.new_context()
    try:
        page = await context.new_page()
        page.set_default_timeout(LIMIT_MS)
        found = await page.evaluate(script, [MODULE, asked_for])
        assert isinstance(found, list)
        return found
    finally:
        await context.close()


def ours(text: str) -> dict[str, list[Any]]:
    found = tokens.parsed(text)
    return {
        "tags": [list(tag) for tag in found.tags],
        "mentions": list(found.mentions),
        "links": list(found.links),
    }


def at_random(count: int) -> list[str]:
    """Texts of Hypothesis, as it would try them, but all for one browser."""
    collected: list[str] = []

    @settings(
        max_examples=count, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(text=texts)
    def collect(text: str) -> None:
        collected.append(text)

    collect()
    return collected


async def test_browser_finds_what_the_vectors_say(browser: Browser) -> None:
    found = await asked(browser, PARSED, [vector["text"] for vector in VECTORS])
    for vector, one in zip(VECTORS, found, strict=True):
        assert one == {name: vector.get(name, []) for name in ("tags", "mentions", "links")}, vector


@pytest.mark.parametrize("count", [300, pytest.param(5000, marks=pytest.mark.long)])
async def test_browser_and_server_agree_on_any_text(browser: Browser, count: int) -> None:
    anything = at_random(count)
    assert len(anything) >= count / 2
    found = await asked(browser, PARSED, anything)
    different = [
        (ascii(text), ours(text), one)
        for text, one in zip(anything, found, strict=True)
        if ours(text) != one
    ]
    assert not different, different[0]
    cut = [[list(piece) for piece in tokens.pieces(text)] for text in anything]
    assert await asked(browser, PIECES, anything) == cut
    assert ["".join(text for _, text, _ in one) for one in cut] == anything


async def test_browser_and_server_fold_each_character_alike(browser: Browser) -> None:
    characters = [
        chr(code)
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in {"Lu", "Ll", "Lt", "Mn", "Nl", "So"}
    ]
    assert await asked(browser, FOLDED, characters) == [*map(tokens.folded, characters)]


async def test_browser_counts_graphemes_as_the_server_does(browser: Browser) -> None:
    lengths = ["", "abc", "e\u0301", "👨‍👩‍👧‍👦", "🇩🇪🇹🇷", "1️⃣", "\r\n", "நி", "한국"]
    assert await asked(browser, LENGTHS, lengths) == [*map(written.graphemes, lengths)]
