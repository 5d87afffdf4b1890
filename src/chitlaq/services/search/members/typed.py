"""What was typed, word by word, as tokens of members that it may mean (docs/search.md)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple
from zlib import crc32

from chitlaq.core.text import folding
from chitlaq.services.search.members.nicknames import NICKNAMES

MAX_WORDS = 8
SHORT = 2
"""Letters of a word that always means what begins with it."""
NEAR = 3
"""Letters of a beginning by which members of one department are found (`search.tokens_of`)."""
MIN_GUESSED = 4
"""Letters of a word that may have an edit."""
MIN_GUESSED_TWICE = 8
MANY = 1_000_000
"""Of how many a word is that is too short to look up."""
CLOSE = 12
"""The nearest words of a mistyped one, at most: each is compared with all that are ranked."""


class Apart(NamedTuple):
    """How far what was typed is from a word: by so many edits it is the whole of it, or a beginning."""

    edits: int
    is_whole: bool


SAME = Apart(0, is_whole=False)
FAR = Apart(2, is_whole=False)
"""Of a word with what was typed further in."""


def hashed(token: str) -> int:
    """Return a token as it is stored (`search.hashed`)."""
    return crc32(token.encode()) - 2**31


@dataclass(slots=True)
class Meaning:
    """What one typed word may mean.

    Args:
        typed: the folded word.
        forms: it, and its spellings in Latin letters.
        tokens: of members whom it may mean.
        close: of the words that it may mean if it is mistyped, the nearest.
        uses: of how many members that is, about.
    """

    typed: str
    forms: list[str]
    tokens: list[str]
    close: list[str] = field(default_factory=list)
    uses: int = 0

    @property
    def has_digits(self) -> bool:
        return any(one.isdigit() for one in self.typed)

    @property
    def hashes(self) -> list[int]:
        return [hashed(token) for token in self.tokens]

    @property
    def itself(self) -> list[int]:
        """Tokens of who has just this word in their name."""
        return [hashed("n" + form) for form in self.forms]

    @property
    def nearest(self) -> list[int]:
        """Tokens of who has a word that begins as typed, or one of the nearest."""
        return [hashed("b" + form) for form in self.forms] + [hashed("n" + w) for w in self.close]

    @property
    def near(self) -> list[int]:
        return [hashed(f"b{form[:NEAR]}") for form in self.forms]

    def add(self, word: str, uses: int, apart: Apart = SAME) -> None:
        """Add a word of the vocabulary that it may mean: one that it begins, or so far from it."""
        if apart.edits:
            self.tokens.append("n" + word)
            # Of a short word, each beginning of another is near.
            is_close = apart.is_whole or len(self.typed) >= MIN_GUESSED_TWICE
            if apart.edits == 1 and is_close and len(self.close) < CLOSE:
                self.close.append(word)
        self.tokens.append("d" + word)
        # What is there is of one member at least; what is counted is of many.
        self.uses += uses + 1


def read(text: str) -> list[str]:
    """Return the first words of what was typed, folded, each once."""
    return list(dict.fromkeys(folding.split(folding.folded(text))))[:MAX_WORDS]


def meaning(word: str, *, is_ended: bool = False) -> Meaning:
    """Return what a word means by itself, without a look at which words there are.

    Args:
        word: that was typed.
        is_ended: it means a word, not what begins with it, unless it is very short.
    """
    romans = folding.romanizations(word)
    forms = list(dict.fromkeys([word, *romans]))
    kind = "n" if is_ended and len(word) > SHORT else "b"
    tokens = [kind + form for form in forms]
    tokens.append("d" + word)
    tokens += dict.fromkeys("s" + sound for roman in romans for sound in folding.sounds(roman))
    if 2 <= len(romans[0]) <= 4:
        tokens.append("i" + romans[0])
    tokens += [f"n{name}" for form in forms for name in NICKNAMES.get(form, ())]
    return Meaning(word, forms, tokens)


def whole(text: str) -> tuple[int, int]:
    """Return what is stored of who has all of it as the name, and as the username."""
    return (
        hashed("w" + " ".join(sorted(folding.stored(folding.folded(text))))),
        hashed("a" + text.strip().removeprefix("@").lower()),
    )


def keys(word: str, edits: int) -> list[int]:
    """Return the keys that words share with one that is so many edits apart, one or two (`search.keys_of`).

    Two edits are looked for by beginnings without two letters, which many more words share: that takes twice
    as long.
    """
    if len(word) < MIN_GUESSED or not word.isalpha() or folding.is_spaceless(word):
        return []
    tag = min(len(word), 7)
    begun = word[:7]
    once = {begun[:i] + begun[i + 1 :] for i in range(len(begun))}
    found = {f"{tag}{begun}", *(f"{tag}{rest}" for rest in once)}
    if edits > 1 and len(word) >= MIN_GUESSED_TWICE:
        twice = {rest[:i] + rest[i + 1 :] for rest in once for i in range(len(rest))}
        found = {f"8{part}" for part in (begun, *once, *twice)}
    return [hashed(key) for key in found]


def apart(typed: str, word: str) -> Apart | None:
    """Return how far what was typed is from a word or its beginning; None if too far.

    An edit is a letter too many, one too few, another one, or two that changed places (optimal string
    alignment, the restricted Damerau-Levenshtein distance). Four letters may have one, eight may have two.
    """
    # A word of four letters has so many neighbours that only whole ones are meant.
    only_whole = len(typed) == MIN_GUESSED
    most = 2 if len(typed) >= MIN_GUESSED_TWICE else 1
    whole, begun = _distances(typed, word[: len(typed) + most + 1])
    fewest = whole if only_whole else begun
    return Apart(fewest, whole == fewest) if fewest <= most else None


def _distances(typed: str, word: str) -> tuple[int, int]:
    """Return the distances from a word, and from the nearest of its beginnings.

    A column of the table of distances is two integers, a bit for each letter that was typed (Hyyrö, A
    Bit-Vector Algorithm for Computing Levenshtein and Damerau Edit Distances, 2003): half of what comparing
    letters takes.
    """
    places: dict[str, int] = {}
    for at, letter in enumerate(typed):
        places[letter] = places.get(letter, 0) | 1 << at
    every, last = (1 << len(typed)) - 1, 1 << len(typed) - 1
    more, less, diagonal, before = every, 0, 0, 0
    distance = nearest = len(typed)
    for letter in word:
        same = places.get(letter, 0)
        swapped = ((every & ~diagonal & same) << 1) & before
        diagonal = (((same & more) + more) ^ more) | same | less | swapped
        right, left = less | (every & ~(diagonal | more)), diagonal & more
        if right & last:
            distance += 1
        elif left & last:
            distance -= 1
            nearest = min(nearest, distance)
        right = right << 1 | 1
        more = (left << 1 | ~(diagonal | right)) & every
        less = right & diagonal & every
        before = same
    return distance, nearest


def rarest(meanings: Iterable[Meaning]) -> list[Meaning]:
    """Return the three meanings of the fewest members, or else of the longest words."""
    return sorted(meanings, key=lambda one: (one.uses, -len(one.typed)))[:3]
