"""Queries for texts as PostgreSQL is asked them: of words, their forms, and marks (`search.post_vector`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from chitlaq.services.search.texts.forms import Forms
from chitlaq.services.search.texts.language import Term, Typed

LIKE_WHOLE = 8
"""Words that are also looked for as one phrase, at most."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Tsqueries as text.

    Args:
        wanted: what the index finds.
        checked: what is looked at in each text that it finds: phrases, and words that are left out; or None.
        parts: of each word or phrase, what it is found by.
        exact: and what is just as it was typed.
        whole: all of it as one phrase, if it has several words.
    """

    wanted: str
    checked: str | None
    parts: Sequence[str]
    exact: Sequence[str]
    whole: str | None


class Named(NamedTuple):
    """A member that a query names."""

    username: str
    id: str


NOBODY = Named("", "")


@dataclass(frozen=True, slots=True)
class Reading:
    """How a query is understood.

    Args:
        forms: of its words.
        named: the members that it names, by what was typed.
        places: the ids of the conversations that it names, by what was typed.
        is_begun: whether words are also found by their beginning.
        left_out: groups that are not searched for.
    """

    typed: Typed
    forms: Mapping[str, Forms]
    named: Mapping[str, Named]
    places: Mapping[str, Sequence[str]]
    is_begun: bool = False
    left_out: Collection[int] = ()

    @property
    def required(self) -> list[int]:
        """The groups that a text must have, by their number."""
        groups = self.typed.groups
        telling = [n for n, group in enumerate(groups) if not self._is_usual(group)]
        has_words = any(term.words and not term.is_excluded for n in telling for term in groups[n])
        # What nearly every text has is searched for only if there is nothing else.
        chosen = telling if has_words else range(len(groups))
        return [n for n in chosen if n not in self.left_out]

    def asked(self) -> Asked:
        groups = [self.typed.groups[n] for n in self.required]
        wanted = [part for group in groups if (part := self._wanted(group))]
        checked = [self._checked(group) for group in groups if any(map(_is_checked, group))]
        scored = [term for term in self.typed.terms if term.words and not term.is_excluded]
        typed = [word for term in scored for word in term.words]
        return Asked(
            " & ".join(wanted),
            " & ".join(checked) or None,
            [self._loose(term) for term in scored],
            [_phrase(term.words) for term in scored],
            _phrase(typed) if 1 < len(typed) <= LIKE_WHOLE and len(scored) > 1 else None,
        )

    def lexemes(self) -> frozenset[str]:
        """Return what words of a text that are to be emphasized have."""
        found: set[str] = set()
        for term in self.typed.terms:
            if term.words and not term.is_excluded:
                for word in term.words:
                    found |= {word} if term.is_quoted else {word, *self._forms(word)}
        return frozenset(found)

    def group_alone(self, number: int) -> str:
        """Return what finds texts with one group, by the index."""
        return self._wanted(self.typed.groups[number])

    def _is_usual(self, group: Sequence[Term]) -> bool:
        return all(
            len(term.words) == 1 and not term.is_quoted and not term.is_excluded
            and self.forms[term.words[0]].is_stop_word
            for term in group
        )  # fmt: skip

    def _wanted(self, group: Sequence[Term]) -> str:
        """Return what the index is asked for; nothing if it would have to say more than it knows."""
        if any(term.is_excluded and _is_checked(term) for term in group):
            return ""
        return _any(
            ("!" if term.is_excluded else "")
            + (self._found_by(term) if term.words else self._mark(term))
            for term in group
        )

    def _checked(self, group: Sequence[Term]) -> str:
        return _any(
            ("!" if term.is_excluded else "")
            + (
                (_phrase(term.words) if _is_checked(term) else self._loose(term))
                if term.words
                else self._mark(term)
            )
            for term in group
        )

    def _found_by(self, term: Term) -> str:
        """Return what finds the term's words in any order."""
        if term.is_quoted or len(term.words) > 1:
            return "(" + " & ".join(_quoted(word) for word in term.words) + ")"
        return self._loose(term)

    def _loose(self, term: Term) -> str:
        if len(term.words) > 1 or term.is_quoted:
            return _phrase(term.words)
        (word,) = term.words
        return _any(_quoted(one) for one in (word, *self._forms(word)))

    def _forms(self, word: str) -> list[str]:
        forms = self.forms[word]
        begun = [forms.beginning] if self.is_begun and forms.beginning else []
        return sorted(forms.stems) + begun

    def _mark(self, term: Term) -> str:
        value = term.value
        # Nobody has a name that is empty, so nothing is found by it.
        named = self.named.get(value, NOBODY)
        match term.operator:
            case "from":
                return _quoted(f"@f{named.id}")
            case "to":
                return _any((_quoted(f"@t{named.id}"), _quoted(f"@n{named.username}")))
            case "naming":
                return _quoted(f"@n{value}")
            case "in":
                return _any(_quoted(f"@c{place}") for place in self.places.get(value, ("",)))
            case "tag":
                return _quoted(f"#{value}")
            case _:
                return _quoted(f"@{value}")


def id_at(moment: datetime | None) -> UUID | None:
    """Return the least UUID of version 7 of a moment; None for no moment."""
    if moment is None:
        return None
    milliseconds = max(0, round(moment.timestamp() * 1000))
    return UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62)


def _is_checked(term: Term) -> bool:
    """Whether the index alone does not tell: it knows no phrases, nor who may know whom a post answers."""
    if term.operator == "to":
        return term.is_excluded
    return bool(term.words) and (term.is_quoted or term.is_excluded or len(term.words) > 1)


def _phrase(words: Sequence[str]) -> str:
    return "(" + " <-> ".join(f"{_quoted(word)}:A" for word in words) + ")"


def _any(parts: Iterable[str]) -> str:
    return "(" + " | ".join(parts) + ")"


def _quoted(lexeme: str) -> str:
    return "'" + lexeme.replace("\\", "\\\\").replace("'", "''") + "'"
