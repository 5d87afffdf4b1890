"""Words of pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from string import Formatter
from typing import get_args

import msgspec
import pytest

from chitlaq import inventory
from chitlaq.cli.serve import load
from chitlaq.core.http import bodies, routes
from chitlaq.core.http.translations import translated
from chitlaq.core.languages import LANGUAGES
from chitlaq.web.console.status.words import words as status_words
from chitlaq.web.site.pages import own_words, said_of, shared_words
from chitlaq.web.words import PageWords, texts

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


def test_no_file_has_words_twice_under_one_key() -> None:
    """The last would count, also where the first is meant."""
    for file in Path(str(resources.files("chitlaq.web"))).rglob("*.json"):
        keys = re.findall(r'^  "([^"]+)": "', file.read_text(), re.MULTILINE)
        assert len(set(keys)) == len(keys), file.name


def test_no_line_of_a_page_ends_after_a_single_letter_and_a_hyphen() -> None:
    hyphen = "\N{NON-BREAKING HYPHEN}"
    said = known("tr")["told.mail"], status_words("tr")("subscribe.address")
    assert said == (f"E{hyphen}posta", f"E{hyphen}posta adresi")
    broken = re.compile(r"\b[^\W\d_]-[^\W\d_]")
    for language in LANGUAGES:
        texts_said = known(language) | texts("chitlaq.web.console.status", "words", language)
        assert [key for key, text in texts_said.items() if broken.search(text)] == []


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


# What no person writes: switches, choices between buttons, ids, and what browsers and programs make.
NOT_WRITTEN = {
    "archived", "attestationObject", "auth", "authenticatorData", "clientDataJSON", "client_id",
    "cookies", "digest", "endpoint", "expirationTime", "filter_strangers", "id", "in_app",
    "is_found_from_outside", "is_history_visible", "is_private", "keeps_history", "keys", "kind",
    "kinds", "language", "mail", "may_find", "may_mention", "may_message", "may_see_followers",
    "multiple", "operator", "p256dh", "pinned", "post", "purpose", "push", "quiet_hours", "rawId",
    "refresh_token", "response", "role", "seen_until", "seq", "shares_presence", "shares_read",
    "signature", "transports", "type", "userHandle",
}  # fmt: skip
# Members with a role write these, as programs do.
OF_ROLES = {"Change", "Disabling", "NewAnnouncement"}


def fields_of(kind: object) -> Iterator[str]:
    """The names of a body's fields, and of what is in them."""
    for inner in get_args(kind):
        yield from fields_of(inner)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        if kind.__name__ in OF_ROLES:
            return
        for field in msgspec.structs.fields(kind):
            yield field.encode_name
            yield from fields_of(field.type)


def bodies_of_members() -> Iterator[object]:
    for row in inventory.SERVICES:
        service = load(row)
        if not service.component.is_for_members:
            continue
        for handler in routes.collect(service):
            body = handler.parsed_fn_signature.parameters.get("data")
            if body and "is_for_operators" not in handler.opt:
                yield body.annotation


def written_fields() -> set[str]:
    return {name for body in bodies_of_members() for name in fields_of(body)} - NOT_WRITTEN


# None of it is what any field takes, or only some do.
MISTAKEN: tuple[object, ...] = (
    None, True, 5, -(10**6), 10**30, 1.5, "", "x", "x" * 200_000, "\0", [], [None], ["x"] * 600, {}, {"x": 1},
    "2026-13-01T00:00:00Z", "2026-01-01T00:00:00", "x' - at `$.text`",
)  # fmt: skip


def structs_in(kind: object) -> Iterator[type[msgspec.Struct]]:
    for inner in get_args(kind):
        yield from structs_in(inner)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
        for field in msgspec.structs.fields(kind):
            yield from structs_in(field.type)


def test_whatever_a_field_is_given_is_refused_in_words_of_people() -> None:
    refused = dict[str, set[str]]()
    for kind in {one for body in bodies_of_members() for one in structs_in(body)}:
        for name in (field.encode_name for field in msgspec.structs.fields(kind)):
            for given in MISTAKEN:
                try:
                    msgspec.convert({name: given}, kind)
                except msgspec.ValidationError as error:
                    found = bodies.field_errors([{"message": str(error), "key": "data"}])
                    for field, why in found.items():
                        refused.setdefault(why, set()).add(field)
    assert {"must be text", "must be one of the choices that there are"} <= refused.keys()
    assert {"visibility", "language"} <= refused["must be one of the choices that there are"]
    for why in refused:
        assert not re.search(
            r"[`$]|Expected|Invalid|\b(?:str|int|bool|array|object|null)\b", why
        ), why
        assert translated(why, "tr") != why


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_refused_of_any_field_is_a_sentence_without_its_name(language: str) -> None:
    fields = written_fields()
    assert {"text", "reply_to", "options", "display_name", "words"} <= fields
    words = PageWords(language, known(language))
    assert {f"refused.{name}" for name in fields} <= words.keys
    for name in (*fields, "of_an_api_to_come"):
        for path in (name, f"post.{name}", f"poll.{name}[12]"):
            said = said_of(path, "WHY", words)
            assert re.fullmatch(r"[A-ZÇĞİÖŞÜ][^:_{}]+ WHY\.", said), said
    assert said_of("text", "A sentence already.", words) == "A sentence already."
