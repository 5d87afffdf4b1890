"""What was typed, word by word, as tokens of members that it may mean (docs/search.md)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from zlib import crc32

from chitlaq.core.text import folding
from chitlaq.services.search.members.nicknames import NICKNAMES

MAX_WORDS = 8
STEPS = 5
"""Of fame, as `search.fame` counts them."""
MIN_GUESSED = 4
"""Letters of a word that may have an edit."""
MIN_GUESSED_TWICE = 8
MANY = 1_000_000
"""Of how many a word is that is too short to look up."""


def hashed(token: str) -> int:
    """Return a token as it is stored (`search.hashed`)."""
    return crc32(token.encode()) - 2**31


@dataclass(slots=True)
class Meaning:
    """What one typed word may mean: tokens without their step, by how well they match.

    Args:
        typed: the folded word.
        exact: the word itself, as a name.
        usual: beginnings of names.
        weak: what it sounds or looks like, is short for, or means in a department or bio.
        uses: of how many members that is, about.
    """

    typed: str
    exact: list[str]
    usual: list[str] = field(default_factory=list)
    weak: list[str] = field(default_factory=list)
    uses: int = 0

    @property
    def is_known(self) -> bool:
        """Whether any member has something that it may mean."""
        return self.uses > 0 or bool(self.usual)

    @property
    def has_digits(self) -> bool:
        return any(one.isdigit() for one in self.typed)

    def add(self, word: str, uses: int, *, is_weak: bool) -> None:
        """Add a word of the vocabulary that it may mean."""
        (self.weak if is_weak else self.usual).append("n" + word)
        self.weak.append("d" + word)
        # What is there is of one member at least; what is counted is of many.
        self.uses += uses + 1

    def settle(self, uses: int) -> None:
        """Mean the word itself and not what begins with it: it is one, and was typed to its end."""
        self.usual = [one for one in self.usual if not one.startswith("n")]
        self.weak = [one for one in self.weak if one[0] != "d" or one == f"d{self.typed}"]
        self.uses = uses + 1

    def at(self, steps: Sequence[int]) -> list[list[int]]:
        """Return all that it may mean, for each step: of members of that fame or more."""
        begun = [crc32(one.encode()) for one in (*self.exact, *self.usual, *self.weak)]
        return [[crc32(b"+%d" % step, one) - 2**31 for one in begun] for step in steps]


def read(text: str) -> list[str]:
    """Return the first words of what was typed, folded, each once."""
    return list(dict.fromkeys(folding.split(folding.folded(text))))[:MAX_WORDS]


def meaning(word: str) -> Meaning:
    """Return what a word means by itself, without a look at which words there are."""
    roman = folding.romanized(word)
    forms = list(dict.fromkeys((word, roman)))
    made = Meaning(word, [f"n{form}" for form in forms])
    if len(word) <= 2:
        made.usual.append(f"{len(word)}{word}")
        made.uses = MANY
    made.weak += ["d" + word, "s" + folding.sound(roman)]
    if 2 <= len(roman) <= 4:
        made.weak.append("i" + roman)
    made.weak += [f"n{name}" for form in forms for name in NICKNAMES.get(form, ())]
    return made


def whole(words: Sequence[str], text: str) -> list[int]:
    """Return the tokens of who has all of it as the name, or as the username."""
    return [
        hashed("w" + " ".join(sorted(words))),
        hashed("a" + text.strip().removeprefix("@").lower()),
    ]


def keys(word: str) -> list[int]:
    """Return the keys that words share with one that is an edit apart, or two (`search.keys_of`)."""
    if len(word) < MIN_GUESSED or not word.isalpha() or folding.is_spaceless(word):
        return []
    tag = min(len(word), 7)
    begun = word[:7]
    once = {begun[:i] + begun[i + 1 :] for i in range(len(begun))}
    found = {f"{tag}{begun}", *(f"{tag}{rest}" for rest in once)}
    if len(word) >= MIN_GUESSED_TWICE:
        twice = {rest[:i] + rest[i + 1 :] for rest in once for i in range(len(rest))}
        found = {f"8{part}" for part in (begun, *once, *twice)}
    return [hashed(key) for key in found]


def edits(typed: str, word: str) -> int | None:
    """Return by how many edits what was typed is a word or its beginning; or None.

    An edit is a letter too many, one too few, another one, or two that changed places (optimal string
    alignment, the restricted Damerau-Levenshtein distance). Four letters may have one, eight may have two.
    """
    # A word of four letters has so many neighbours that only whole ones are meant.
    is_whole = len(typed) == MIN_GUESSED
    for allowed in range(3 if len(typed) >= MIN_GUESSED_TWICE else 2):
        if _within(typed, word, allowed, is_whole=is_whole):
            return allowed
    return None


def _within(typed: str, word: str, allowed: int, *, is_whole: bool) -> bool:
    same = 0
    for one, other in zip(typed, word, strict=False):
        if one != other:
            break
        same += 1
    if same == len(typed):
        return not is_whole or len(word) - same <= allowed
    if allowed == 0:
        return False
    rest, other_rest = typed[same:], word[same:]
    if not other_rest:
        return len(rest) <= allowed
    left = allowed - 1
    return (
        _within(rest[1:], other_rest[1:], left, is_whole=is_whole)
        or _within(rest[1:], other_rest, left, is_whole=is_whole)
        or _within(rest, other_rest[1:], left, is_whole=is_whole)
        or (
            rest[1:2] == other_rest[:1]
            and rest[:1] == other_rest[1:2]
            and _within(rest[2:], other_rest[2:], left, is_whole=is_whole)
        )
    )


def rarest(meanings: Iterable[Meaning]) -> list[Meaning]:
    """Return the three meanings of the fewest members; the rarest again and again if there are fewer."""
    ordered = sorted(meanings, key=lambda one: one.uses)[:3]
    return [*ordered, *[ordered[0]] * (3 - len(ordered))]
