"""The demo's members: names, universities, departments, popularity, talkativeness."""

from __future__ import annotations

import re
import unicodedata
from array import array
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from chitlaq.seed import names, rare_names
from chitlaq.seed.clock import DAY, uuid7

JOINED_DAYS = 500
"""Members joined over this many days; the last ones before the first post."""

# Letters that Unicode does not decompose; names are in lower case by then.
_LETTERS = str.maketrans(
    {"ł": "l", "ø": "o", "æ": "ae", "ß": "ss", "\N{LATIN SMALL LETTER DOTLESS I}": "i"}
)
_YEAR_DIGITS = 30  # a suffix such as 07 or 23 looks like a year


@dataclass(frozen=True, slots=True)
class People:
    """Members as columns; a member is an index, in the order of ids and of joining."""

    ids: list[bytes]
    joined: array[int]
    usernames: list[str]
    display_names: list[str]
    universities: bytearray
    """Indexes into `names.UNIVERSITIES`."""
    departments: bytearray
    """Indexes into `DEPARTMENTS`."""
    bios: list[str]
    private: bytearray
    popularity: list[float]
    """How likely each is to be followed (Pareto)."""
    talkativeness: list[float]
    """How likely each is to post (log-normal)."""

    def __len__(self) -> int:
        return len(self.ids)


DEPARTMENTS = tuple(names.DEPARTMENTS)


def people(count: int, until: int, days: int, rng: Random) -> People:
    """Make members, the ten demo accounts first.

    Args:
        count: how many; at least ten.
        until: the moment at which the demo ends.
        days: the period of posts; all members joined before it.
        rng: the source of randomness.
    """
    made = People([], array("q"), [], [], bytearray(), bytearray(), [], bytearray(), [], [])
    taken: set[str] = set()
    start, span = until - JOINED_DAYS * DAY, (JOINED_DAYS - days - 1) * DAY
    shares = list(accumulate(university.share for university in names.UNIVERSITIES))
    sources = [
        tuple(part.split() for part in (*people, *rare))
        for people, rare in zip(names.PEOPLES, rare_names.LAST_NAMES, strict=True)
    ]
    cap = max(10.0, count / 10)
    for number in range(count):
        joined = start + int(span * (number + rng.random()) / count)
        if number < len(names.DEMO):
            demo = names.DEMO[number]
            university, department = 0, DEPARTMENTS.index(demo.department)
            username, display_name, bio, private = demo.username, demo.display_name, demo.bio, False
            popularity, talkativeness = 15.0, 4.0
        else:
            university = min(bisect(shares, rng.random()), len(shares) - 1)
            department = int(len(DEPARTMENTS) * rng.random() ** 1.5)
            display_name = _display_name(sources, rng)
            username = _username(display_name, taken, rng)
            bio = _bio(department, rng) if rng.random() < 0.7 else ""
            private = rng.random() < 0.03
            popularity = min(rng.paretovariate(1.3), cap)
            talkativeness = rng.lognormvariate(0, 1.1) * popularity**0.3
        taken.add(username)
        made.ids.append(uuid7(joined, rng))
        made.joined.append(joined)
        made.usernames.append(username)
        made.display_names.append(display_name)
        made.universities.append(university)
        made.departments.append(department)
        made.bios.append(bio)
        made.private.append(private)
        made.popularity.append(popularity)
        made.talkativeness.append(talkativeness)
    return made


def email(username: str, university: int) -> str:
    return f"{username}@{names.UNIVERSITIES[university].domain}"


def _display_name(sources: Sequence[tuple[list[str], ...]], rng: Random) -> str:
    source = sources[int(rng.random() * len(sources))]
    family = source if rng.random() < 0.9 else sources[int(rng.random() * len(sources))]
    first = source[0][int(rng.random() * len(source[0]))]
    if rng.random() < rare_names.SHARE:
        last = "".join(part[int(rng.random() * len(part))] for part in family[2:])
    else:
        last = family[1][int(rng.random() * len(family[1]))]
    if rng.random() < 0.08:
        second = source[1][int(rng.random() * len(source[1]))]
        if second != last:
            last = f"{last}-{second}"
    return f"{first} {last}"


def _username(display_name: str, taken: set[str], rng: Random) -> str:
    """Return an unused username in one of the usual styles."""
    plain = unicodedata.normalize("NFKD", display_name.lower().translate(_LETTERS))
    first, _, last = plain.partition(" ")
    first, last = re.sub("[^a-z]", "", first), re.sub("[^a-z]", "", last)
    styles = (f"{first}_{last}", f"{first}{last}", f"{first[0]}{last}", f"{first}_{last[0]}", first)
    base = styles[int(rng.random() * len(styles))][:24]
    name = base if len(base) >= 3 else f"{first}_{last}"[:24]
    base, digits = name, _YEAR_DIGITS
    while name in taken:
        name = f"{base}{int(rng.random() * digits):02d}"
        digits *= 3
    return name


def _bio(department: int, rng: Random) -> str:
    interest, other = rng.sample(names.INTERESTS, 2)
    text = rng.choice(names.BIOS).format(
        department=DEPARTMENTS[department],
        year=rng.choice(names.YEARS),
        interest=interest,
        interest2=other,
    )
    return text[0].upper() + text[1:]
