"""The grammar of hashtags, mentions and links, as docs/text.md publishes it."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chitlaq.core.text import tokens

ROOT = Path(__file__).parents[3]
VECTORS: list[dict[str, Any]] = json.loads((ROOT / "docs/text-vectors.json").read_text())["vectors"]
BROWSERS = (ROOT / "src/chitlaq/web/site/static/text.js").read_text()

# What the grammar treats in a way of its own, between whatever else there is.
_SIGNIFICANT = (
    "#", "＃", "@", "＠", "_", ".", ",", ":", "/", "?", "!", "&", "-", "(", ")", "）", "（", "·", "・", "״",
    "a", "Z", "ada", "example", "1", "٣", "İ", "ı", "i\u0307", "ß", "ς", "ﬃ", "é", "e\u0301", "हिन्दी", "東",
    "ᾳ", "\u0301", "\u0307", "\u0345", "\u200b", "\u200c", "\u200d", "\ufe0f", "\u20e3", "\u034f", "\u3164",
    "\u202e", "🎉", "1️⃣", "👩‍💻", "https://", "http://", "ftp://", "://", " ", "\n", "\u2028", "…",
    "”", "。", "𞤀",
)  # fmt: skip
# Assigned to the oldest Unicode of any implementation: what is newer is text until all know it.
texts = st.lists(
    st.sampled_from(_SIGNIFICANT) | st.characters(exclude_categories=("Cs", "Cn", "Co")),
    max_size=30,
).map("".join)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["why"]))
def test_text_has_what_the_vectors_say(vector: dict[str, Any]) -> None:
    found = tokens.parsed(vector["text"])
    assert [list(tag) for tag in found.tags] == vector.get("tags", [])
    assert list(found.mentions) == vector.get("mentions", [])
    assert list(found.links) == vector.get("links", [])


@given(text=texts)
def test_every_text_has_an_answer_within_bounds(text: str) -> None:
    found = tokens.parsed(text)
    for tag in found.tags:
        assert tag.folded == tokens.folded(tag.folded) == tokens.folded(tag.spelling)
        assert 1 <= max(len(tag.folded), len(tag.spelling)) <= tokens.MAX_TAG_LENGTH
        assert tag.spelling in unicodedata.normalize("NFC", text)
    assert all(re.fullmatch("[a-z0-9_]{3,30}", name) for name in found.mentions)
    assert all(link in text and re.match("https?://", link, re.IGNORECASE) for link in found.links)


@given(text=texts)
def test_composition_and_case_make_no_other_tags(text: str) -> None:
    tags = [tag.folded for tag in tokens.parsed(text).tags]
    for same in (unicodedata.normalize("NFD", text), unicodedata.normalize("NFC", text)):
        assert [tag.folded for tag in tokens.parsed(same).tags] == tags


@given(text=texts)
def test_folding_twice_is_folding_once(text: str) -> None:
    assert tokens.folded(tokens.folded(text)) == tokens.folded(text)


def test_more_tags_and_mentions_than_allowed_are_left_out() -> None:
    found = tokens.parsed(" ".join(f"#tag{number} @name{number}" for number in range(100)))
    assert [tag.folded for tag in found.tags] == [f"tag{number}" for number in range(30)]
    assert list(found.mentions) == [f"name{number}" for number in range(50)]


@pytest.mark.parametrize("one", ["İ", "ß", "ﬃ", "ΐ"])
def test_folding_that_lengthens_keeps_the_bound(one: str) -> None:
    for times in (1, 33, 34, 50, 100, 101):
        for tag in tokens.parsed("#" + one * times).tags:
            assert len(tag.folded) <= tokens.MAX_TAG_LENGTH


def test_browsers_use_the_same_patterns() -> None:
    there = "".join(re.findall(r"String\.raw`([^`]*)`", BROWSERS))
    assert there == tokens.PIECE + tokens.LINK
    assert f'"{tokens.ENDINGS}"' in BROWSERS
    for closing, opening in tokens.OPENED_BY.items():
        assert f'["{closing}", "{opening}"]' in BROWSERS
    for name in ("MAX_TAGS", "MAX_MENTIONS", "MAX_TAG_LENGTH"):
        assert f"const {name} = {getattr(tokens, name)};" in BROWSERS


@pytest.mark.parametrize("name", ["Straße", "#STRASSE", "＃strasse", "strasse"])
def test_name_of_a_tag_is_as_posts_have_it(name: str) -> None:
    (tag,) = tokens.parsed("#straße").tags
    assert tokens.tag_of(name) == tag.folded


@pytest.mark.parametrize("name", ["", "#", "##a", "two words", "a#b", "@ada", "2026", "x" * 101])
def test_what_no_post_can_have_is_no_tag(name: str) -> None:
    assert tokens.tag_of(name) is None
