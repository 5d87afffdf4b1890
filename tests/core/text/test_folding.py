"""What search reads in a text, and that PostgreSQL stores words in the same way."""

from __future__ import annotations

import unicodedata

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chitlaq.core.text import folding
from chitlaq.services.search.members import typed
from tests.conftest import Stack


@pytest.mark.parametrize(
    "spellings",
    [
        ("İĞÜŞÖÇI", "iğüşöçı", "igusoci"),
        ("Straße", "STRASSE"),
        ("Søren Ångström", "soren angstrom"),
        ("Łódź", "lodz"),
        ("ΑΛΈΞΗΣ", "Αλέξης", "αλεξησ"),
        ("Ёлкин Й", "елкин и"),
        ("O’Brien", "O'Brien", "obrien"),
        ("ＡＢＣ ﬁ", "abc fi"),
        ("مُحَمَّد", "محمد"),
    ],
)
def test_spellings_of_a_name_fold_alike(spellings: tuple[str, ...]) -> None:
    assert len({folding.folded(one) for one in spellings}) == 1


@given(st.text(max_size=60))
@settings(max_examples=300)
def test_folding_twice_is_folding_once(text: str) -> None:
    once = folding.folded(text)
    assert folding.folded(once) == once
    words = folding.split(once)
    assert folding.split(" ".join(words)) == words


async def test_postgresql_folds_and_parts_every_character_as_python_does(stack: Stack) -> None:
    """All that both know; Unicode of PostgreSQL is newer."""
    known = [
        chr(point)
        for point in range(1, 0x110000)
        if unicodedata.category(chr(point)) not in ("Cn", "Co", "Cs")
    ]
    # Han and Hangul are alike.
    sample = [one for one in known if not 0x3400 <= ord(one) <= 0xD7A3 and ord(one) < 0x20000]
    connection = await asyncpg.connect(stack.dsn())
    try:
        rows = await connection.fetch(
            "SELECT x, search.folded(x) AS folded, search.split(search.folded('a' || x || 'b')) AS words"
            " FROM unnest($1::text[]) x",
            sample,
        )
    finally:
        await connection.close()
    for one, folded, words in rows:
        assert folding.folded(one) == folded, hex(ord(one))
        own = folding.split(folding.folded(f"a{one}b"))
        assert own == words[: len(own)], hex(ord(one))


async def test_postgresql_hears_romanizes_and_cuts_words_as_python_does(stack: Stack) -> None:
    names = (
        "Дмитрий Щукин Жуковська Їжакевич Љубица Џорџ Γιώργος Ευάγγελος Μπάμπης Ψαρράς Χρήστος Ξένια"
        " Ђорђе Живковић Григорій Кънчев Щерев Ѓорѓи Ѕвездан Ҷамшед Ҳасан Җәмилә"
        " Müller Mueller Schwarzenegger Chandrasekhar Quixote Wójcik Czesław Zoë Ada 李明 Al99"
    )
    words = folding.split(folding.folded(names))
    rows = await stack.sql(
        "SELECT w, search.romanizations(w) AS romans, search.romanized(w) AS roman,"
        " search.sound(search.romanized(w)) AS sound,"
        " search.keys_of(w) AS keys, search.hashed(w) AS hash FROM unnest($1::text[]) w",
        words,
    )
    for word, romans, roman, sound, keys, number in rows:
        assert sorted(folding.romanizations(word)) == sorted(romans)
        assert folding.romanizations(word)[0] == roman
        assert folding.sound(roman) == sound
        assert typed.hashed(word) == number
        for edits in (1, 2):
            assert set(typed.keys(word, edits)) <= set(keys or ()), word
    assert len({folding.sound(one) for one in ("muller", "mueller", "muler")}) == 1


async def test_whole_name_is_read_as_it_is_stored(stack: Stack) -> None:
    names = [
        "Li", "李", "李明", "李明 Li", "Anna-Lena Li", "Bo\N{NON-BREAKING HYPHEN}Li 김민", "Li Li", "ada99",
        "Al-99 สมชาย", "\N{RIGHT-TO-LEFT MARK}Noa, a b c d e f g h i", "x" * 60, "-", "!",
    ]  # fmt: skip
    rows = await stack.sql(
        "SELECT n, search.split(search.folded(n)) AS words,"
        " search.hashed('w' || array_to_string(array_sort(search.split(search.folded(n))), ' ')) AS whole"
        " FROM unnest($1::text[]) n",
        names,
    )
    for name, words, whole in rows:
        assert sorted(folding.stored(folding.folded(name))) == sorted(words), name
        assert typed.whole(name)[0] == whole, name
