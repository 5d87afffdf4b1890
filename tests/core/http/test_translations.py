"""Refusals in the language of their reader."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from chitlaq.core.http import bodies, problems
from chitlaq.core.http.problems import Problem
from chitlaq.core.http.translations import in_language, packages, refusals, translated
from chitlaq.core.languages import LANGUAGES, preferred

OTHERS = LANGUAGES[1:]
# What makes a refusal, with the places and names of those arguments that are no texts for people.
MAKERS: dict[str, tuple[set[int], set[str]]] = {
    "invalid": (set(), set()),
    "conflict": ({1}, {"field"}),
    "forbidden": (set(), set()),
    "malformed": (set(), set()),
    "not_found": (set(), set()),
    "not_signed_in": (set(), set()),
    "unavailable": (set(), set()),
    "too_many_requests": ({0, 1}, {"limit"}),
    "Problem": ({0}, {"kind", "limit", "headers", "methods"}),
}


def said_in(expression: ast.expr) -> Iterator[str]:
    """The texts that an expression may be, with ``{}`` for what is inserted."""
    match expression:
        case ast.Constant(value=str() as text):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(
                str(one.value) if isinstance(one, ast.Constant) else "{}" for one in parts
            )
        case ast.IfExp(body=one, orelse=other):
            yield from said_in(one)
            yield from said_in(other)
        case ast.Dict(values=values):
            for value in values:
                yield from said_in(value)
        case ast.Call(func=ast.Attribute(attr="fromkeys"), args=[_, value]):
            yield from said_in(value)


# What looks at a field that members send; `schemas.py` of each package besides. Operators read English.
CHECKS = (
    "http/schemas.py",
    "text/written.py",
    "core/addresses.py",
    "usernames.py",
    "quiet_hours.py",
)
FOR_OPERATORS = ("sso/schemas.py",)
_FIELD = re.compile(r"^(\w+|\{\}): ")


def checked_in(file: Path) -> set[str]:
    """What a check of a field says, without the field."""
    if not str(file).endswith((*CHECKS, "/schemas.py")) or str(file).endswith(FOR_OPERATORS):
        return set()
    raised = (
        node.exc
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
    )
    texts = {
        _FIELD.sub("", text)
        for call in raised
        if getattr(call.func, "id", "") == "ValueError"
        for argument in call.args
        for text in said_in(argument)
    }
    return {one for one in texts if one.replace("{}", "").strip(" .:;")}


def refused_in(file: Path) -> set[str]:
    texts = set()
    for call in ast.walk(ast.parse(file.read_text())):
        if not isinstance(call, ast.Call):
            continue
        name = (
            call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        )
        if name not in MAKERS:
            continue
        places, names = MAKERS[name]
        for place, argument in enumerate(call.args):
            texts |= set(said_in(argument)) if place not in places else set()
        for keyword in call.keywords:
            texts |= set(said_in(keyword.value)) if keyword.arg not in names else set()
    # A text that is nothing but what is inserted says nothing of its own.
    return {one for one in texts if one.replace("{}", "").strip(" .:;")}


def files_of(package: str) -> list[Path]:
    return list(Path(str(resources.files(package))).rglob("*.py"))


@pytest.mark.parametrize("language", OTHERS)
def test_every_refusal_is_translated_and_nothing_else(language: str) -> None:
    known = {text: other for one in packages() for text, other in refusals(one, language).items()}
    said = set().union(*(refused_in(file) for one in packages() for file in files_of(one)))
    checks = {*files_of("chitlaq.core"), *(file for one in packages() for file in files_of(one))}
    said |= set().union(*map(checked_in, checks))
    assert not said - known.keys(), f"say these in a refusals.{language}.json"
    # Some are made of constants, or by `bodies`.
    texts = {
        text
        for file in files_of("chitlaq.core")
        + [one for name in packages() for one in files_of(name)]
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant | ast.JoinedStr)
        for whole in said_in(node)
        for text in (whole, _FIELD.sub("", whole))
    } | {re.sub(r"\\\d", "{}", words) for _, words in bodies._PLAIN}
    assert not known.keys() - texts, "nobody says these"
    for text, other in known.items():
        places = [f"{{{number}}}" for number in range(text.count("{}"))]
        assert all(place in other for place in places), (text, other)


def test_refusal_is_said_in_the_language_that_the_reader_prefers() -> None:
    refused = problems.invalid({"poll.choices": "must be for options 0 to 3 of the poll"})
    said = in_language(refused, "tr")
    assert said.errors == {"poll.choices": "anketin 0 ile 3 arasındaki seçenekleri için olmalı"}
    assert (
        said.detail
        == "Kabul edilmedi. poll.choices: anketin 0 ile 3 arasındaki seçenekleri için olmalı"
    )
    assert (said.status, refused.detail) == (
        422,
        "Not accepted. poll.choices: must be for options 0 to 3 of the poll",
    )
    assert in_language(problems.not_found("post"), "tr").detail.startswith("Böyle bir gönderi yok")
    unknown = Problem(refused.status, "What nobody has translated.")
    assert in_language(unknown, "tr").detail == "What nobody has translated."
    assert translated("must be at least 3 characters long", "tr") == "en az 3 karakter olmalı"
    damaged = translated("The file is not accepted: it is damaged.", "tr")
    assert damaged == "Dosya kabul edilmedi: bozuk."
    within = "The picture cannot be shown: it is damaged (truncated)."
    assert translated(within, "tr") == "Resim gösterilemiyor: bozuk (truncated)."


# How what follows a field's name begins: the name and this are a sentence.
PREDICATE = re.compile(r"(must|may|is|was|has|does|needs|names) ")
# Of providers of identities and of domains, whose operators read them after a field's own name.
OF_OPERATORS = {"{}; see `chitlaq universities list`"}


def refused_of_fields(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    constants = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    texts = set()
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "invalid":
            for fields in (one for one in call.args if isinstance(one, ast.Dict)):
                for value in fields.values:
                    named = constants.get(value.id, value) if isinstance(value, ast.Name) else value
                    texts |= set(said_in(named))
    return {one for one in texts if one.replace("{}", "").strip(" .:;")}


def test_what_is_refused_of_a_field_follows_its_name_or_is_a_sentence() -> None:
    """Pages say the name of a field and what is refused of it, or that alone."""
    files = {*files_of("chitlaq.core"), *(file for one in packages() for file in files_of(one))}
    said = set().union(*map(refused_of_fields, files), *map(checked_in, files))
    said |= {words for _, words in bodies._PLAIN}
    assert len(said) > 60
    stiff = {
        one
        for one in said - OF_OPERATORS
        if not PREDICATE.match(one) and not (one.endswith(".") and re.match(r"[A-Z{]", one))
    }
    assert stiff == set()


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("tr", "tr"),
        ("tr-TR,tr;q=0.9,en;q=0.8", "tr"),
        ("de, tr;q=0.5, en;q=0.4", "tr"),
        ("en;q=0.2, tr;q=0.9", "tr"),
        ("tr;q=0", "en"),
        ("tr;q=x, en;q=0.1", "en"),
        (",;,;q=;q", "en"),
        ("tr," * 100_000, "tr"),
    ],
)
def test_language_is_the_one_that_a_browser_prefers(header: str, language: str) -> None:
    assert preferred(header) == language
