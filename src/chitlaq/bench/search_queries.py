"""What the benchmark of search asks: names as members type them, words of posts, and boxes being filled."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chitlaq.core.text import folding

PER_KIND = 200
LEAST_LETTERS = 6
"""Of a last name that is mistyped."""
POST_LETTERS = 5
"""Of a word by which a post is searched."""
BEGUN = 3
VOWELS = "aeiou"

# Of a hundred searches for members.
MIX = {
    "as written": 15, "begun": 25, "last name begun": 20, "a letter wrong": 10, "letters swapped": 5,
    "words swapped": 5, "without accents": 10, "upper case": 5, "username begun": 5,
}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    text: str
    meant: tuple[str, ...]
    """Words, or beginnings of words, of the name that is meant; folded."""

    def is_answered(self, names: Sequence[str]) -> bool:
        return any(self._means(folding.split(folding.folded(name))) for name in names)

    def _means(self, words: Sequence[str]) -> bool:
        return all(any(word.startswith(one) for word in words) for one in self.meant)


def for_members(people: Sequence[tuple[str, str]], seed: int) -> dict[str, list[Asked]]:
    """Return queries of each kind that mean one of these people.

    Args:
        people: usernames and display names, in any order.
        seed: the same number makes the same faults.
    """
    rng = random.Random(seed)  # noqa: S311 - no secret
    asked: dict[str, list[Asked]] = {kind: [] for kind in MIX}
    for username, name in people:
        first, _, last = name.partition(" ")
        plain = _without_accents(last).lower()
        if len(plain) < LEAST_LETTERS or not plain.isalpha():
            continue
        first_folded, last_folded = (folding.folded(part) for part in (first, last))
        both = (first_folded, last_folded)
        for kind, text, meant in (
            ("as written", name, both),
            ("begun", f"{first} {last[:BEGUN]}", (first_folded, last_folded[:BEGUN])),
            ("last name begun", plain[:-2], (last_folded[:-2],)),
            ("a letter wrong", _mistyped(plain, rng), (last_folded,)),
            ("letters swapped", _swapped(plain), (last_folded,)),
            ("words swapped", f"{last} {first}", both),
            ("without accents", _without_accents(name), both if name != _without_accents(name) else ()),
            ("upper case", name.upper(), both),
        ):  # fmt: skip
            if meant and text.lower() not in ("", plain) and len(asked[kind]) < PER_KIND:
                asked[kind].append(Asked(text, meant))
        if first_folded in username and len(asked["username begun"]) < PER_KIND:
            asked["username begun"].append(Asked(username[:-1], (first_folded,)))
    return asked


def mixed(asked: dict[str, list[Asked]], seed: int) -> list[str]:
    """Return texts in the shares in which members ask."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    return [
        rng.choice(asked[kind]).text
        for kind in rng.choices(list(MIX), weights=list(MIX.values()), k=4 * PER_KIND)
    ]


def typed(names: Sequence[str]) -> list[str]:
    """Return what a box holds after each key of somebody who types a name, from the first on."""
    return [name[:end] for name in names for end in range(1, min(len(name), 9))]


def for_posts(texts: Sequence[str], seed: int) -> list[str]:
    """Return what finds posts: mostly one or two words of theirs, now and then a phrase or a tag."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    kinds: tuple[Callable[[list[str]], str], ...] = (
        rng.choice,
        lambda words: " ".join(rng.sample(words, min(2, len(words)))),
        lambda words: " ".join(rng.sample(words, min(3, len(words)))),
        lambda words: f"{words[0]} -{words[-1]}",
    )
    found = []
    for text in texts:
        tags = [word for word in text.split() if word.startswith("#")]
        words = [
            word.strip(".,;:!?")
            for word in text.split()
            if len(word) >= POST_LETTERS and word[0].isalpha()
        ]
        if tags and rng.random() < 0.1:
            found.append(f"tag:{tags[0][1:]}")
        elif words and rng.random() < 0.1:
            found.append('"' + " ".join(text.split()[:BEGUN]).strip('"') + '"')
        elif words:
            found.append(rng.choices(kinds, (40, 40, 15, 5))[0](words))
    return found


def _mistyped(word: str, rng: random.Random) -> str:
    place = len(word) // 2
    other = rng.choice([letter for letter in VOWELS if letter != word[place]])
    return word[:place] + other + word[place + 1 :]


def _swapped(word: str) -> str:
    """Swap the first two different letters from the middle on."""
    for place in range(len(word) // 2, len(word)):
        if word[place] != word[place - 1]:
            return word[: place - 1] + word[place] + word[place - 1] + word[place + 1 :]
    return word


def _without_accents(text: str) -> str:
    """Return the letters that a plain keyboard has; others stay as they are."""
    plain = "".join(folding.folded(one) if one.islower() else one for one in text)
    return "".join(c for c in unicodedata.normalize("NFD", plain) if not unicodedata.combining(c))
