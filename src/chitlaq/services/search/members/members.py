"""Find members by what somebody remembers of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.http.paging import Paging, cursor_after
from chitlaq.core.text import folding
from chitlaq.services.search.members import FoundMember, typed
from chitlaq.services.search.members.common import Common
from chitlaq.services.search.members.typed import Meaning
from chitlaq.services.search.pages import FoundPage, Ignored

MIN_LETTERS = 3
"""Who is not signed in finds nobody by less: a few hundred such texts would list all members."""
CONSIDERED = 100
"""Members that are ranked: of more that match, the best known, and those near the viewer."""
SUGGESTED_FROM = 50
"""The same while somebody types: half of what it costs, and nearly the same five (docs/search.md)."""
ALL_CONSIDERED = 1000
"""Of these, and those near the viewer, there are no more."""
ENOUGH = 5
"""With fewer members than this, words are also taken for mistyped."""


@dataclass(frozen=True, slots=True)
class Found:
    """Members in their order: those that were asked for, and how many there are, if there are not more."""

    members: Sequence[FoundMember]
    points: Sequence[int]
    count: int
    is_cut: bool


NOBODY = Found((), (), 0, is_cut=False)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to understand what was typed.

    Args:
        why: it is tried, for people.
        meanings: of the words that are searched for.
        enough: with so many members, no other way is tried.
        common: of how many members each word is.
        leaves_out: a word was left out, since nobody has it together with the others.
        is_mistyped: of one word, who has a word that begins as typed, or else one of the nearest, is ranked
            before others.
    """

    why: str
    meanings: Sequence[Meaning]
    enough: int
    common: Common
    is_mistyped: bool = False
    leaves_out: bool = False

    def is_enough(self, found: Found) -> bool:
        return found.is_cut or found.count >= self.enough

    @property
    def groups(self) -> list[list[int] | None]:
        """Tokens of the three words that decide; of two, that of fewer tokens once more."""
        hashes = [one.hashes for one in typed.rarest(self.meanings)]
        if len(hashes) == 1:
            return [hashes[0], None, None]
        return [*hashes, *[min(hashes, key=len)] * (3 - len(hashes))]

    def asked(
        self,
        viewer: UUID | None,
        text: str,
        offset: int,
        limit: int,
        considered: int = CONSIDERED,
    ) -> list[object]:
        """Return the arguments of `members_matching`."""
        deciding = typed.rarest(self.meanings)

        def patterns(of: Callable[[Meaning], list[str]], pattern: str) -> list[list[str] | None]:
            all_of = [[pattern % folding.as_pattern(one) for one in of(each)] for each in deciding]
            return [*(each or None for each in all_of), *[None] * (3 - len(all_of))]

        return [
            viewer,
            considered,
            *self.groups,
            self.common.are_many([one.uses for one in deciding]),
            deciding[0].near,
            *patterns(lambda one: one.forms, "%% %s%%"),
            *patterns(lambda one: one.forms, "%% %s %%"),
            *patterns(lambda one: one.close, "%% %s %%"),
            *typed.whole(text),
            offset,
            limit,
            self._kept(),
            self.is_mistyped,
        ]

    def themselves(self) -> Way:
        """Return the way in which each word means just itself, as a part of the name."""
        named = [replace(one, tokens=[f"n{form}" for form in one.forms]) for one in self.meanings]
        return replace(self, meanings=_counted(named, self.common))

    def _kept(self) -> list[int] | None:
        """Return tokens of who is ranked in any case, if there is one word."""
        if len(self.meanings) > 1:
            return None
        (one,) = self.meanings
        return one.nearest if self.is_mistyped else one.itself


async def find(
    database: Database, common: Common, viewer: UUID | None, text: str, paging: Paging
) -> FoundPage[FoundMember]:
    """Return the members that the viewer may find by this text, the best match first.

    Raises:
        Problem: 401 for a page beyond what is shown to those who are not signed in.
    """
    paging = paging.of_members(viewer)
    if paging.before is None:
        at = paging.offset
        way, found = await _search(database, common, viewer, text, paging.offset, paging.limit)
        items = list(found.members)
        is_last = at + len(items) >= found.count and not found.is_cut
    else:
        way, found = await _search(database, common, viewer, text, 0, ALL_CONSIDERED)
        ids = [one.id for one in found.members]
        if paging.before in ids:
            at = ids.index(paging.before) + 1
        else:
            # It was beyond those that are ranked; or is gone, and what followed it stands in its place.
            at = paging.shown - 1 if paging.shown else len(ids)
        items = list(found.members[at : at + paging.limit])
        is_last = at + len(items) >= len(ids) and not found.is_cut
    ranked = len(items)
    if way is not None and found.is_cut and ranked < paging.limit and paging.goes_on:
        items += await _beyond(database, viewer, way, text, paging, paging.limit - ranked)
        is_last = len(items) < paging.limit
    after = None
    if items and not is_last and paging.goes_on:
        after = cursor_after(items[-1].id, at + ranked if len(items) == ranked else 0)
    total = max(found.count, at + len(items)) if items else found.count
    searched = way.meanings if way is not None and way.leaves_out and total else None
    ignored = _ignored(text, None if searched is None else {one.typed for one in searched})
    return FoundPage(items, paging.page, paging.limit, after, total, not found.is_cut, ignored)


async def suggest(
    database: Database, common: Common, viewer: UUID | None, text: str, limit: int
) -> Sequence[FoundMember]:
    """Find members by what is typed; if there are not enough, by what it may have been meant to be."""
    _, found = await _search(database, common, viewer, text, 0, limit, SUGGESTED_FROM)
    if found.is_cut and len(found.members) < limit:
        # Most of the best known are members whom the viewer may not find.
        return (await find(database, common, viewer, text, Paging.of(1, limit))).items
    return found.members


async def matching(
    database: Database | Session,
    way: Way,
    viewer: UUID | None,
    text: str,
    offset: int,
    limit: int,
    considered: int = CONSIDERED,
) -> Found:
    """Return whom one way finds, the best match first; of many, the best known are ranked.

    Of several words, also who has all of them themselves is, of many the best known of those.
    """
    is_one = len(way.meanings) == 1
    # Of two lists, each page needs both from the beginning.
    skipped, until = (offset, limit) if is_one else (0, offset + limit)
    asked = way.asked(viewer, text, skipped, until, considered)
    rows = await database.rows("members_matching", *asked)
    if not rows:
        return NOBODY
    count, is_cut = rows[0]["found"], rows[0]["is_cut"]
    if is_cut and not is_one:
        asked = way.themselves().asked(viewer, text, skipped, until, considered)
        rows += await database.rows("members_matching", *asked)
        rows.sort(key=lambda row: -row["score"])
    ranked = list({row["id"]: row for row in rows if row["id"]}.values())
    if not is_one:
        ranked = ranked[offset:until]
    return Found(
        [FoundMember(*row[:7]) for row in ranked], [row["score"] for row in ranked], count, is_cut
    )


async def _search(
    database: Database,
    common: Common,
    viewer: UUID | None,
    text: str,
    offset: int,
    limit: int,
    considered: int = CONSIDERED,
) -> tuple[Way | None, Found]:
    words = typed.read(text)
    if viewer is None and sum(map(len, words)) < MIN_LETTERS:
        return None, NOBODY
    way, found = None, NOBODY
    async for way in ways(database, common, words):
        found = await matching(database, way, viewer, text, offset, limit, considered)
        if offset and not found.members:
            # The page is beyond the last one, or nobody is found: the first row says.
            first = await matching(database, way, viewer, text, 0, 1)
            found = replace(NOBODY, count=first.count, is_cut=first.is_cut)
        if way.is_enough(found):
            break
    return way, found


def _ignored(text: str, searched: Collection[str] | None) -> list[Ignored]:
    """Return the parts of a text, between spaces, that were not searched for.

    Args:
        text: what was typed.
        searched: its folded words that were searched for; None if no word was left out.
    """
    read = typed.read(text)
    found = []
    for part in text.split():
        words = folding.split(folding.folded(part))
        if not words:
            found.append(Ignored(part, "no_words"))
        elif not set(words) & set(read):
            found.append(Ignored(part, "too_many"))
        elif searched is not None and not set(words) & set(searched):
            found.append(Ignored(part, "not_found"))
    return found


async def _beyond(
    database: Database, viewer: UUID | None, way: Way, text: str, paging: Paging, wanted: int
) -> list[FoundMember]:
    """Return more members than are ranked, after those of the page."""
    found = await matching(database, way, viewer, text, 0, ALL_CONSIDERED)
    ranked = [one.id for one in found.members]
    after = None if paging.shown or paging.before in ranked else paging.before
    skipped = max(0, paging.offset - len(ranked))
    more = await database.rows(
        "members_beyond", viewer, *way.groups, ranked, after, skipped, wanted
    )
    return [FoundMember(*row) for row in more]


async def ways(
    database: Database | Session, common: Common, words: Sequence[str]
) -> AsyncIterator[Way]:
    """Give what the words may mean: as they are, begun, mistyped, parted elsewhere, or one is wrong."""
    if not words:
        return
    # One word has many neighbours, of whom one may be meant; several words together have few.
    enough = ENOUGH if len(words) == 1 else 1
    last = len(words) - 1
    meanings = [typed.meaning(word, is_ended=n < last) for n, word in enumerate(words)]
    yield Way("as typed", _counted(meanings, common), enough, common)
    if last:
        begun = [typed.meaning(word) for word in words]
        yield Way("words begun", _counted(begun, common), 1, common)
    guessed = await _guessed(database, words, 1)
    # By one word, a few may have been found as typed.
    yield Way("mistyped", guessed, 1, common, is_mistyped=not last)
    if any(len(word) >= typed.MIN_GUESSED_TWICE for word in words):
        guessed = await _guessed(database, words, 2)
        yield Way("mistyped twice", guessed, 1, common, is_mistyped=not last)
    await _add_parts(database, guessed)
    yield Way("parts of words", guessed, 1, common, is_mistyped=not last)
    readings = _readings(words)
    parts = list(dict.fromkeys(word for reading in readings for word in reading))
    known = {one.typed: one for one in await _guessed(database, parts, 2) if one.uses}
    for reading in readings:
        if known.keys() >= set(reading):
            yield Way("words joined or parted", [known[word] for word in reading], 1, common)
    for fewer in _fewer(guessed):
        yield Way("without a word", fewer, 1, common, leaves_out=True)


def _counted(meanings: list[Meaning], common: Common) -> list[Meaning]:
    for one in meanings:
        one.uses = common.uses(one.tokens)
    return meanings


async def _guessed(database: Database | Session, words: Sequence[str], edits: int) -> list[Meaning]:
    """Return what each word may mean if it is mistyped, by so many edits, by the words that members have."""
    made = [typed.meaning(word) for word in words]
    asked = [(one, form) for one in made for form in one.forms if len(one.typed) > typed.SHORT]
    for one in made:
        one.uses = typed.MANY if len(one.typed) <= typed.SHORT else 0
    if not asked:
        return made
    forms = [form for _, form in asked]
    keys = [_array(typed.keys(form, edits)) for form in forms]
    for number, word, uses, is_beginning in await database.rows("words_like", forms, keys):
        one, form = asked[number - 1]
        apart = typed.SAME if is_beginning else typed.apart(form, word)
        if is_beginning or (apart and apart.edits):
            one.add(word, uses, apart or typed.SAME)
    return made


async def _add_parts(database: Database | Session, meanings: Sequence[Meaning]) -> None:
    """Let words also mean what contains them."""
    long = [one for one in meanings if len(one.typed) > typed.SHORT]
    patterns = [folding.as_pattern(one.typed) for one in long]
    for number, word, uses in await database.rows("words_containing", patterns):
        long[number - 1].add(word, uses, typed.FAR)


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
    known = sorted((one for one in meanings if one.uses), key=lambda one: -one.uses)
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
