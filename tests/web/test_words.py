"""Words of pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from string import Formatter

import pytest

from chitlaq.core.languages import LANGUAGES
from chitlaq.web.words import PageWords, texts

SITE = "chitlaq.web.site"


def used_by_templates() -> Iterator[str]:
    for file in resources.files(SITE).joinpath("templates").iterdir():
        yield from re.findall(r'\bt\("([^"]+)"[,)]', file.read_text())


def values_of(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_what_the_templates_ask_for(language: str) -> None:
    said, first = texts(SITE, "words", language), texts(SITE, "words", LANGUAGES[0])
    assert said.keys() == first.keys()
    assert set(used_by_templates()) <= said.keys()
    for key, text in said.items():
        assert text.strip(), key
        assert values_of(text) == values_of(first[key]), key


def test_words_escape_what_others_wrote_and_let_nothing_hide() -> None:
    words = PageWords("en", {"a": "{name} & {other}"})
    assert words("a", name="<b>\u202e", other="x") == "&lt;b&gt;\\u202e &amp; x"
