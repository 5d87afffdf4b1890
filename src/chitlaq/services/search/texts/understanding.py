"""Ways to understand a query, tried one after the other until something is found."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from chitlaq.core.data.postgres import Database, Session
from chitlaq.services.search.texts.compiling import Named, Reading
from chitlaq.services.search.texts.language import Typed

Count = Callable[[Sequence[str]], Awaitable[Sequence[int]]]
"""Says of each of these tsqueries how many texts it finds, up to a bound."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way, with its number and why it is tried, for people."""

    number: int
    why: str
    reading: Reading


async def named(
    database: Database | Session, typed: Typed, viewer: UUID | None
) -> dict[str, Named]:
    """Return the members that a query names, by what was typed; ``me`` is the viewer."""
    values = {term.value for term in typed.terms if term.operator in ("from", "to")}
    if not values:
        return {}
    rows = await database.rows("members_named", sorted(values), viewer if "me" in values else None)
    found = {username: Named(username, str(own)) for username, own in rows}
    own = next((one for one in found.values() if one.id == str(viewer)), None)
    return found | {"me": own} if own else found


async def ways(reading: Reading, count: Count, first: int = 0) -> AsyncIterator[Way]:
    """Give the ways from a number on: as typed, by beginnings, without a word, the most common first."""
    typed, forms = reading.typed, reading.forms
    if first <= 0:
        yield Way(0, "as typed", reading)
    begun = replace(reading, is_begun=True)
    if first <= 1 and any(forms[w].beginning for t in typed.terms for w in t.words):
        yield Way(1, "by the beginnings of words", begun)
    plain = [n for n in begun.required if _is_plain(begun, n)]
    if len(plain) < 2:
        return
    counts = dict(zip(plain, await count([begun.group_alone(n) for n in plain]), strict=True))
    # What nobody wrote is left out first, then the most common.
    order = sorted(plain, key=lambda n: (counts[n] > 0, -counts[n]))
    left_out = {n for n in plain if not counts[n]}
    number = 2
    while len(left_out) < len(plain):
        if left_out:
            if first <= number:
                yield Way(number, "without a word", replace(begun, left_out=frozenset(left_out)))
            number += 1
        left_out.add(next(n for n in order if n not in left_out))


def _is_plain(reading: Reading, number: int) -> bool:
    """Whether a group is a word that may be left out: nobody quoted or excluded it, or gave a choice."""
    (term, *more) = reading.typed.groups[number]
    return not more and bool(term.words) and not term.is_quoted and not term.is_excluded
