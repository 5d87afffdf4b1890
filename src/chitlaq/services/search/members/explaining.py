"""Say why a search finds whom it finds: what was folded and meant, by which indexes, in which order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from time import perf_counter
from uuid import UUID

import msgspec

from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.text import folding
from chitlaq.services.search.members import members, typed
from chitlaq.services.search.members.common import Common

SHOWN = 12
"""Tokens of a kind of each word, members, and so on."""


class ExplainedWord(msgspec.Struct, frozen=True):
    """A typed word, and what of members it may mean: tokens as docs/search.md describes them."""

    folded: str
    romanized: str
    sound: str
    keys: int
    uses: int
    means: list[str]


class ExplainedMember(msgspec.Struct, frozen=True):
    """Who is found, with all points, and those that they have whatever is typed, by whomever."""

    username: str
    display_name: str
    points: int
    fame: int
    activity: int
    active_on: date | None
    """The day (UTC) of the latest public post, of the last four weeks."""


class ExplainedWay(msgspec.Struct, frozen=True):
    """One way that was tried."""

    why: str
    words: list[ExplainedWord]
    found: int
    is_cut: bool
    members: list[ExplainedMember]
    milliseconds: float
    indexes: dict[str, int]
    """How often each was looked into."""


class Explanation(msgspec.Struct, frozen=True):
    text: str
    folded: str
    words: list[str]
    ways: list[ExplainedWay]


async def explain(database: Database, viewer: UUID | None, text: str) -> Explanation:
    """Search as `members.search` does, and say what was done.

    Args:
        database: with the role of search-service.
        viewer: who searches; None is somebody who is not signed in.
        text: what is typed.
    """
    words = typed.read(text)
    common = Common(database)
    await common.read()
    ways: list[ExplainedWay] = []
    # PostgreSQL counts for a transaction what it has looked into.
    async with database.transaction() as session:
        before: dict[str, int] = {}
        started = perf_counter()
        async for way in members.ways(session, common, words):
            found = await members.matching(session, way, viewer, text, 0, SHOWN)
            milliseconds = round((perf_counter() - started) * 1000, 1)
            read = await indexes_read(session)
            ways.append(
                ExplainedWay(
                    way.why,
                    [_explained(one) for one in way.meanings],
                    found.count,
                    found.is_cut,
                    await _standing(session, found),
                    milliseconds,
                    read_since(before, read),
                )
            )
            if way.is_enough(found):
                break
            before = await indexes_read(session)
            started = perf_counter()
    return Explanation(text, folding.folded(text), words, ways)


async def indexes_read(session: Session) -> dict[str, int]:
    """Return how often this transaction has looked into each index, within functions as well."""
    return {row["name"]: row["scans"] for row in await session.rows("indexes_read")}


def read_since(before: dict[str, int], now: dict[str, int]) -> dict[str, int]:
    """Return how often indexes were looked into between two answers of `indexes_read`."""
    return {name: more for name, scans in now.items() if (more := scans - before.get(name, 0))}


async def _standing(session: Session, found: members.Found) -> list[ExplainedMember]:
    rows = await session.rows("standing_of_members", [one.id for one in found.members])
    kept = {row["member_id"]: (row["fame"], row["activity"], row["active_on"]) for row in rows}
    return [
        ExplainedMember(one.username, one.display_name, points, *kept[one.id])
        for one, points in zip(found.members, found.points, strict=True)
    ]


def _explained(one: typed.Meaning) -> ExplainedWord:
    romans = folding.romanizations(one.typed)
    return ExplainedWord(
        one.typed,
        " ".join(romans),
        " ".join(sound for roman in romans for sound in folding.sounds(roman)),
        len(typed.keys(romans[0], 2)),
        one.uses,
        _few(one.tokens),
    )


def _few(tokens: Sequence[str]) -> list[str]:
    return [*tokens[:SHOWN], *(["…"] if len(tokens) > SHOWN else [])]
