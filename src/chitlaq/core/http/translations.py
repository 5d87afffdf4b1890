"""What a refusal says, in the language of its reader.

Code says it in English. Each package that refuses has a ``refusals.tr.json`` beside its code, from the
English text to the Turkish one. What is inserted into a text is written ``{}`` in the English one, and
``{0}``, ``{1}`` … in the other. A test compares the files with the code.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

import msgspec

from chitlaq import inventory
from chitlaq.core.http import problems
from chitlaq.core.http.problems import LISTED, Problem
from chitlaq.core.languages import LANGUAGES


def packages() -> list[str]:
    """Return the packages whose refusals members read; operators' are in English."""
    services = (
        one.package for one in inventory.COMPONENTS.values() if one.package and one.is_for_members
    )
    return [__package__, *services]


def refusals(package: str, language: str) -> dict[str, str]:
    """Return one package's texts; none if it has no file."""
    file = resources.files(package).joinpath(f"refusals.{language}.json")
    return msgspec.json.decode(file.read_bytes(), type=dict[str, str]) if file.is_file() else {}


def translated(text: str, language: str) -> str:
    """Return an English text in another language; as it is where nobody has translated it."""
    if language == LANGUAGES[0]:
        return text
    whole, patterns = _catalogue(language)
    if text in whole:
        return whole[text]
    for pattern, other in patterns:
        if found := pattern.fullmatch(text):
            return other.format(*(translated(one, language) for one in found.groups()))
    return text


def in_language(problem: Problem, language: str) -> Problem:
    """Return a refusal for a reader of this language."""
    if language == LANGUAGES[0]:
        return problem
    errors = {name: translated(said, language) for name, said in (problem.errors or {}).items()}
    detail = problem.detail
    if errors and detail == problems.invalid(problem.errors or {}).detail:
        listed = "; ".join(f"{name}: {said}" for name, said in errors.items())
        detail = translated(LISTED, language).format(listed)
    else:
        detail = translated(detail, language)
    return problem.said(detail, errors)


@cache
def _catalogue(language: str) -> tuple[dict[str, str], list[tuple[re.Pattern[str], str]]]:
    whole: dict[str, str] = {}
    for package in packages():
        whole |= refusals(package, language)
    # The longest first: it says most.
    patterns = [
        (re.compile("(.+?)".join(map(re.escape, text.split("{}"))), re.DOTALL), other)
        for text, other in sorted(whole.items(), key=lambda pair: -len(pair[0]))
        if "{}" in text
    ]
    return whole, patterns
