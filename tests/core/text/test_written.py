"""Texts of several lines: nothing in them acts on what is around them, and every script stays whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chitlaq.core.text import written
from chitlaq.core.visible import cleaned

FAMILY = "👨‍👩‍👧‍👦"


@pytest.mark.parametrize(
    "text",
    [
        FAMILY,
        "🏴󠁧󠁢󠁥󠁮󠁧󠁿 and 🏳️‍🌈 and 1️⃣",
        "می\u200cخواهم",
        "ක්\u200dෂ",
        "שלום\u200f! (abc)\u200e",
        "ភាសា\u200bខ្មែរ",
        "ᠮᠣᠩᠭᠣᠯ\u180eᠠ",
        "葛\U000e0100",
        "one\n\n\ttwo",
        "long\u00adword",
    ],
)
def test_writing_of_every_script_stays_as_it_is(text: str) -> None:
    assert written.checked(text, 100) == text


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("pay \u202e001\u202c now", "pay 001 now"),
        ("\u2067abc\u2069\u206a", "abc"),
        ("red \x1b[31malert\x07", "red [31malert"),
        ("one\r\ntwo\rthree\u2028four\x85five\x0bsix", "one\ntwo\nthree\nfour\nfive\nsix"),
        ("\ufeffbegun", "begun"),
        ("hidden\U000e0068\U000e0069 words", "hidden words"),
        ("\U0001f3f4\U000e0068 no flag", "\U0001f3f4 no flag"),
        ("a\u3164b", "ab"),
    ],
)
def test_what_acts_or_hides_is_left_out(text: str, kept: str) -> None:
    assert written.checked(text, 100) == kept


@pytest.mark.parametrize(
    "text",
    ["", " \n", "\u200b", "\u200b\u200d\ufe0f", "\u202e\u202c", "\u3164", "\u2800", "\U000e0041", "\x00a"],
)  # fmt: skip
def test_text_that_shows_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must not"):
        written.checked(text, 100)


def test_length_is_counted_in_graphemes() -> None:
    for one in ("x", FAMILY, "e\u0301", "நி", "🇩🇪"):
        assert written.checked(one * 1000, 1000) == one * 1000
        with pytest.raises(ValueError, match="has 1001 characters; it may have 1000"):
            written.checked(one * 1001, 1000)


@given(text=st.text(max_size=50))
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    once = cleaned(text)
    assert cleaned(once) == once
