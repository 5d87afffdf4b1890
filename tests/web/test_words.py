"""Words of pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from string import Formatter

import pytest

from chitlaq.core.languages import LANGUAGES
from chitlaq.web.site.pages import own_words, shared_words
from chitlaq.web.words import PageWords

SITE = "chitlaq.web.site"
OF_JINJA = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
TAGS = re.compile(r'<[^>]*>|[\w-]+="[^"]*"')
SAID_IN_TAGS = re.compile(r'\b(?:aria-label|placeholder|title|alt)="([^"]*)"')


def used(folder: str, ending: str) -> Iterator[str]:
    for file in Path(str(resources.files(SITE))).joinpath(folder).rglob(f"*{ending}"):
        for kind, key in re.findall(r'\b(t|(?:t\.)?count)\("([^"]+)"[,)]', file.read_text()):
            yield from [key] if kind == "t" else [f"{key}.one", f"{key}.other"]


def known(language: str) -> dict[str, str]:
    """What pages say, of which browsers get the second part."""
    return own_words(language) | shared_words(language)


def values_of(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_what_the_templates_ask_for(language: str) -> None:
    said, first = known(language), known(LANGUAGES[0])
    assert said.keys() == first.keys()
    assert set(used("templates", ".html")) <= said.keys()
    assert set(used("static/app", ".js")) <= shared_words(language).keys()
    for key, text in said.items():
        assert text.strip(), key
        assert values_of(text) == values_of(first[key]), key


def test_templates_say_nothing_of_their_own() -> None:
    """But those about the API, which is in English."""
    said = []
    for file in Path(str(resources.files(SITE))).joinpath("templates").rglob("*.html"):
        if file.name in {"docs.html", "websocket.html"}:
            continue
        page = OF_JINJA.sub("", file.read_text())
        own = SAID_IN_TAGS.findall(page) + TAGS.sub(" ", page).split()
        said += [f"{file.name}: {one}" for one in own if re.search(r"[^\W\d_]", one)]
    assert [one for one in said if one.partition(": ")[2] not in {"ChitLaq", "API", "UTC"}] == []


def test_words_escape_what_others_wrote_and_let_nothing_hide() -> None:
    words = PageWords("en", {"a": "{name} & {other}"})
    assert words("a", name="<b>\u202e", other="x") == "&lt;b&gt;\\u202e &amp; x"
