"""What is typed to search in texts is read as it is meant, whatever it is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chitlaq.services.search.texts import language
from chitlaq.services.search.texts.language import MAX_TERMS, Term


def described(term: Term) -> str:
    """The term in a line: ``-`` left out, ``"…"`` just so, ``name=value`` of an operator."""
    what = f"{term.operator}={term.value}" if term.operator else " ".join(term.words)
    return "-" * term.is_excluded + (f'"{what}"' if term.is_quoted else what)


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("Çay ve Kahve", "cay|ve|kahve"),
        ('"northern pier" lamp', '"northern pier"|lamp'),
        ("„Kritik der Urteilskraft“", '"kritik der urteilskraft"'),
        ("tea OR coffee cake", "tea,coffee|cake"),
        ("tea | coffee || cake", "tea,coffee,cake"),
        ('judges -referee -"last night"', 'judges|-referee|-"last night"'),
        ("FROM:Ada to:@grace -from:me", "from=ada|to=grace|-from=me"),
        ("tag:#Çağ #zug \uff03Zug @Ada", "tag=cag|tag=zug|tag=zug|naming=ada"),
        ("has:Pictures -has:poll", "has=picture|-has=poll"),
        ('in:"chess club"', "in=chess club"),
        ("网球 e-mail", "网 球|e mail"),
        ("note:this (a & b)", "note this|a|b"),
        ("'; DROP TABLE x; --", "drop|table|x"),
        ('"open', '"open"'),
    ],
)
def test_terms_are_read(text: str, groups: str) -> None:
    typed = language.read(text)
    assert "|".join(",".join(map(described, group)) for group in typed.groups) == groups


def test_dates_bound_what_is_found() -> None:
    typed = language.read("after:2026-03 before:2026-04-05 before:2027 x")
    assert typed.after == datetime(2026, 3, 1, tzinfo=UTC)
    assert typed.before == datetime(2026, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ignored"),
    [
        ("from: x", [("from:", "no_value")]),
        ('from:"" x', [('from:""', "no_value")]),
        ("OR x OR", [("OR", "misplaced"), ("OR", "misplaced")]),
        ("x OR OR y", [("OR", "misplaced")]),
        ("before:tomorrow -after:2026 after:2026-13-01", [
            ("before:tomorrow", "unknown_value"), ("-after:2026", "misplaced"),
            ("after:2026-13-01", "unknown_value"),
        ]),
        ("has:fun from:!! tag:!", [
            ("has:fun", "unknown_value"), ("from:!!", "unknown_value"), ("tag:!", "unknown_value"),
        ]),
        ("!!! - x", [("!!!", "no_words"), ("-", "no_words")]),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_named(text: str, ignored: list[tuple[str, str]]) -> None:
    assert [(one.text, one.reason) for one in language.read(text).ignored] == ignored


def test_operator_of_another_search_and_what_is_too_much_are_named() -> None:
    (one,) = language.read("in:club x", language.OPERATORS - {"in"}).ignored
    assert one.reason == "elsewhere"
    typed = language.read("from:ada " * 200)
    assert len(typed.terms) == MAX_TERMS
    assert {one.reason for one in typed.ignored} == {"too_many"}


@given(
    st.text(
        alphabet=st.sampled_from("ab\"“”-|:#@()\\'! ORfromhast0123456789\t\u202e👍网"), max_size=80
    )
)
def test_no_text_is_an_error(text: str) -> None:
    typed = language.read(text)
    assert all(term.words or term.value for term in typed.terms)
