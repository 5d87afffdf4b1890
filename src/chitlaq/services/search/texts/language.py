"""The language of queries for texts (docs/search.md): what is typed, as groups of terms."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time

import regex

from chitlaq.core.text import folding
from chitlaq.services.search.pages import Ignored, Reason
from chitlaq.services.search.texts import words

MAX_TERMS = 20
MAX_WORDS = 40
"""Of all terms together."""
OPERATORS = frozenset({"from", "to", "in", "tag", "has", "before", "after"})
DATES = ("before", "after")
HAS = frozenset({"picture", "link", "poll"})

_QUOTES = '"\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}\N{DOUBLE LOW-9 QUOTATION MARK}«»'
_VALUE = rf"[{_QUOTES}](?P<quoted>[^{_QUOTES}]*)[{_QUOTES}]?|(?P<bare>[^\s{_QUOTES}]+)"
_TOKEN = regex.compile(
    rf"(?P<minus>[-\u2212])?(?:(?P<name>{'|'.join(sorted(OPERATORS))}):(?:{_VALUE})?|{_VALUE})",
    regex.IGNORECASE,
)
_OR = frozenset({"OR", "|", "||"})
_TAG = regex.compile(r"[^\s\p{P}\p{Cc}\p{S}]+(?:_+[^\s\p{P}\p{Cc}\p{S}]+)*_*")
_USERNAME = regex.compile(r"[a-z0-9_]{1,30}")
_DATE = regex.compile(r"(\d{4})(?:-(\d{1,2}))?(?:-(\d{1,2}))?")


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that is searched for: words in their order, or what an operator names.

    Args:
        text: as it was typed.
        words: folded; of one who quotes, just as they are.
        operator: and its value; or both are empty.
    """

    text: str
    words: tuple[str, ...] = ()
    is_quoted: bool = False
    is_excluded: bool = False
    operator: str = ""
    value: str = ""


@dataclass(slots=True)
class Typed:
    """What was typed: all of the groups are meant, and of each group one term."""

    groups: list[list[Term]] = field(default_factory=list)
    after: datetime | None = None
    before: datetime | None = None
    ignored: list[Ignored] = field(default_factory=list)

    @property
    def terms(self) -> list[Term]:
        return [term for group in self.groups for term in group]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left to search for."""
        return not self.groups and self.after is None and self.before is None

    def ignore(self, text: str, reason: Reason) -> None:
        self.ignored.append(Ignored(text, reason))


def read(text: str, operators: Collection[str] = OPERATORS) -> Typed:
    """Return what was typed.

    Args:
        text: a query, whatever it is.
        operators: those that mean something where it is searched.
    """
    typed = Typed()
    left_words = MAX_WORDS
    # The token `OR` that still waits for its second term.
    either: str | None = None
    for found in _TOKEN.finditer(text):
        token = found[0]
        if token in _OR:
            if either is not None or not typed.groups:
                typed.ignore(token, "misplaced")
            else:
                either = token
            continue
        term = _term(typed, found, operators)
        if term is None:
            continue
        left_words -= len(term.words)
        if len(typed.terms) == MAX_TERMS or left_words < 0:
            typed.ignore(token, "too_many")
            continue
        if either is not None:
            typed.groups[-1].append(term)
        else:
            typed.groups.append([term])
        either = None
    if either is not None:
        typed.ignore(either, "misplaced")
    return typed


def _term(typed: Typed, found: regex.Match[str], operators: Collection[str]) -> Term | None:
    """Return the term that a token is; None for a date, which is noted, and for what is ignored."""
    token, is_excluded = found[0], found["minus"] is not None
    bare, quoted = found["bare"], found["quoted"]
    if found["name"]:
        name, value = found["name"].lower(), (bare or quoted or "").strip()
        if not value:
            typed.ignore(token, "no_value")
            return None
        return _operator(typed, name, value, token, operators, is_excluded=is_excluded)
    if bare and (sign := folding.folded(bare[0])) in ("#", "@"):
        name, value = ("tag", _tag(bare)) if sign == "#" else ("naming", _username(bare))
        if value and (sign == "#" or "to" in operators):
            return Term(token, is_excluded=is_excluded, operator=name, value=value)
    own = tuple(words.split(folding.folded(bare if quoted is None else quoted)))
    if not own:
        typed.ignore(token, "no_words")
        return None
    return Term(token, own, quoted is not None, is_excluded)


def _operator(
    typed: Typed,
    name: str,
    value: str,
    token: str,
    operators: Collection[str],
    *,
    is_excluded: bool,
) -> Term | None:
    if name not in operators:
        typed.ignore(token, "elsewhere")
        return None
    if name in DATES:
        moment = _moment(value)
        if moment is None:
            typed.ignore(token, "unknown_value")
        elif is_excluded:
            typed.ignore(token, "misplaced")
        elif name == "after":
            typed.after = max(typed.after or moment, moment)
        else:
            typed.before = min(typed.before or moment, moment)
        return None
    if name == "tag":
        read_value: str | None = _tag(value)
    elif name == "has":
        read_value = value.lower().rstrip("s") if value.lower().rstrip("s") in HAS else None
    elif name == "in":
        read_value = value
    else:
        read_value = _username(value)
    if not read_value:
        typed.ignore(token, "unknown_value")
        return None
    return Term(token, is_excluded=is_excluded, operator=name, value=read_value)


def _tag(value: str) -> str | None:
    found = _TAG.fullmatch(folding.folded(value).lstrip("#"))
    return found[0] if found else None


def _username(value: str) -> str | None:
    found = _USERNAME.fullmatch(folding.folded(value).lstrip("@"))
    return found[0] if found else None


def _moment(value: str) -> datetime | None:
    """Return the beginning of a day, a month or a year; None if it is none."""
    found = _DATE.fullmatch(value)
    if found is None:
        return None
    year, month, day = (int(part or 1) for part in found.groups())
    try:
        return datetime.combine(date(year, month, day), time(), UTC)
    except ValueError:
        return None
