"""Find members by what somebody remembers of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from asyncpg import Record

from chitlaq.core.data.postgres import Database
from chitlaq.core.http.paging import Page, Paging
from chitlaq.core.text import folding
from chitlaq.services.search.members import FoundMember, typed
from chitlaq.services.search.members.typed import STEPS, Meaning

MIN_LETTERS = 3
"""Who is not signed in finds nobody by less: a few hundred such texts would list all members."""
CONSIDERED = 100
"""Members that are ranked: of more that match, the best known, and those near the viewer."""
MANY = 2000
"""If more than about so many have a word, they are read from the best known on."""
ENOUGH = 5
"""With fewer members than this, words are also taken for mistyped."""


@dataclass(frozen=True, slots=True)
class Found:
    """Members in their order: those of the page, and how many there are, if not more than are considered."""

    members: Sequence[FoundMember]
    count: int
    is_cut: bool

    @classmethod
    def of(cls, rows: Sequence[Record]) -> Found:
        """Return what the rows of `members_matching` say."""
        if not rows:
            return NOBODY
        members = [FoundMember(*row[:7]) for row in rows]
        return cls(members, rows[0]["found"], rows[0]["is_cut"])


NOBODY = Found((), 0, is_cut=False)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to understand what was typed.

    Args:
        why: it is tried, for people.
        words: all that was typed.
        meanings: of the words that are searched for.
        enough: with so many members, no other way is tried.
    """

    why: str
    words: Sequence[str]
    meanings: Sequence[Meaning]
    enough: int

    def is_enough(self, found: Found) -> bool:
        return found.is_cut or found.count >= self.enough

    def asked(self, viewer: UUID | None, text: str, offset: int, limit: int) -> list[object]:
        """Return the arguments of `members_matching`."""
        groups = typed.rarest(self.meanings)
        is_many = groups[0].uses > MANY
        steps = range(STEPS - 1, -1, -1) if is_many else (0,)
        tokens = {id(one): one.at(steps) for one in groups}
        compared = [one if groups.index(one) == n else None for n, one in enumerate(groups)]
        return [
            viewer,
            CONSIDERED,
            *([_array(at) for at in tokens[id(one)]] for one in groups),
            [min(step + 1, STEPS) if is_many else STEPS for step in steps],
            # The last step is the first: that of everybody.
            tokens[id(groups[0])][-1],
            *(one and [typed.hashed(token + "+0") for token in one.exact] for one in compared),
            *(one and [typed.hashed(token + "+0") for token in one.usual[:8]] for one in compared),
            typed.whole(self.words, text),
            offset,
            limit,
        ]


async def find(
    database: Database, viewer: UUID | None, text: str, paging: Paging
) -> Page[FoundMember]:
    """Return the members that the viewer may find by this text, the best match first.

    Raises:
        Problem: 401 for a page beyond what is shown to those who are not signed in.
    """
    paging = paging.of_members(viewer)
    found = await search(database, viewer, text, paging.offset, paging.limit)
    return Page(found.members, paging.page, paging.limit, None)


async def search(
    database: Database, viewer: UUID | None, text: str, offset: int, limit: int
) -> Found:
    """Find members by what is typed; if there are not enough, by what it may have been meant to be."""
    words = typed.read(text)
    if viewer is None and sum(map(len, words)) < MIN_LETTERS:
        return NOBODY
    found = NOBODY
    async for way in ways(database, words):
        rows = await database.rows("members_matching", *way.asked(viewer, text, offset, limit))
        found = Found.of(rows)
        if way.is_enough(found):
            break
    return found


async def ways(database: Database, words: Sequence[str]) -> AsyncIterator[Way]:
    """Give what the words may mean: as they are, if mistyped, if parted elsewhere, if one is wrong."""
    if not words:
        return
    # One word has many neighbours, of whom one may be meant; several words together have few.
    enough = ENOUGH if len(words) == 1 else 1
    yield Way("as typed", words, await _meanings(database, words, is_guessing=False), enough)
    guessed = await _meanings(database, words, is_guessing=True)
    yield Way("mistyped, or parts of words", words, guessed, 1)
    for reading in _readings(words):
        meanings = await _meanings(database, reading, is_guessing=True)
        yield Way("words joined or parted", words, meanings, 1)
    for fewer in _fewer(guessed):
        yield Way("without a word", words, fewer, 1)


async def _meanings(
    database: Database, words: Sequence[str], *, is_guessing: bool
) -> list[Meaning]:
    """Return what each word may mean, by the words that members have."""
    made = [typed.meaning(word) for word in words]
    asked: list[tuple[Meaning, str]] = []
    for one in made:
        if len(one.typed) > 2:
            asked += [
                (one, form) for form in dict.fromkeys((one.typed, folding.romanized(one.typed)))
            ]
    if not asked:
        return made
    forms = [form for _, form in asked]
    keys = [_array(typed.keys(form)) if len(form) >= typed.MIN_GUESSED else None for form in forms]
    rows = await database.rows("words_like", forms, keys, is_guessing)
    for number, word, uses, is_beginning in rows:
        one, form = asked[number - 1]
        if is_beginning:
            one.add(word, uses, is_weak=False)
        elif typed.edits(form, word) is not None:
            one.add(word, uses, is_weak=True)
    ended = {one.typed: one for one in made[:-1]}
    for number, word, uses, _ in () if is_guessing else rows:
        if word == forms[number - 1] and word in ended:
            ended[word].settle(uses)
    if is_guessing:
        for number, word, uses in await database.rows(
            "words_containing", [folding.as_pattern(form) for form in forms]
        ):
            asked[number - 1][0].add(word, uses, is_weak=True)
    return made


def _readings(words: Sequence[str]) -> list[list[str]]:
    """Return other ways to part the words: two of them are one, or one is two."""
    joined = [[*words[:i], words[i] + words[i + 1], *words[i + 2 :]] for i in range(len(words) - 1)]
    parted = [
        [*words[:n], word[:i], word[i:], *words[n + 1 :]]
        for n, word in enumerate(words)
        if len(words) <= 2 and len(word) <= 20
        for i in (range(1, len(word)) if folding.is_spaceless(word) else range(3, len(word) - 2))
    ]
    return (joined + parted)[:12]


def _fewer(meanings: Sequence[Meaning]) -> list[list[Meaning]]:
    """Return the words without those that nobody has, or else without one of them, the most common first.

    The rarest one is always meant, numbers are meant as they are, and nobody is meant by a letter or two.
    """
    known = sorted((one for one in meanings if one.is_known), key=lambda one: -one.uses)
    if len(known) < len(meanings):
        fewer = [known]
    else:
        fewer = [[one for one in known if one is not left] for left in known[:-1]]
    numbers = {one.typed for one in meanings if one.has_digits}
    fewer = [rest for rest in fewer if numbers <= {one.typed for one in rest}]
    return [rest for rest in fewer if sum(len(one.typed) for one in rest) >= MIN_LETTERS]


def _array(values: Sequence[int]) -> str | None:
    """Return integers as PostgreSQL writes an array, for arrays of arrays of different lengths."""
    return "{" + ",".join(map(str, values)) + "}" if values else None
