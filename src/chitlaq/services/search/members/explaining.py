"""Say why a search finds whom it finds: what was folded and meant, by which indexes, in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from uuid import UUID

import asyncpg
import msgspec

from chitlaq.core.data.postgres import Database, Query
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
    plan: list[str]


class Explanation(msgspec.Struct, frozen=True):
    text: str
    folded: str
    words: list[str]
    ways: list[ExplainedWay]


async def explain(
    database: Database,
    connection: asyncpg.Connection[asyncpg.Record],
    queries: Mapping[str, Query],
    viewer: UUID | None,
    text: str,
) -> Explanation:
    """Search as `members.search` does, and say what was done.

    Args:
        database: with the role of search-service.
        connection: of the same role, for the plans.
        queries: of the service.
        viewer: who searches; None is somebody who is not signed in.
        text: what is typed.
    """
    words = typed.read(text)
    common = Common(database)
    await common.read()
    ways: list[ExplainedWay] = []
    async for way in members.ways(database, common, words):
        arguments = way.asked(viewer, text, 0, SHOWN)
        rows = await database.rows("members_matching", *arguments)
        found = members.Found.of(rows)
        rows = [row for row in rows if row["id"]]
        plan = await connection.fetch(
            f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS) {queries['members_matching'].sql}",
            *arguments,
        )
        ways.append(
            ExplainedWay(
                way.why,
                [_explained(one) for one in way.meanings],
                found.count,
                found.is_cut,
                await _standing(database, rows),
                [line for row in plan if _is_telling(line := row[0])],
            )
        )
        if way.is_enough(found):
            break
    return Explanation(text, folding.folded(text), words, ways)


async def _standing(database: Database, found: Sequence[asyncpg.Record]) -> list[ExplainedMember]:
    rows = await database.rows("standing_of_members", [row["id"] for row in found])
    kept = {row["member_id"]: (row["fame"], row["activity"], row["active_on"]) for row in rows}
    return [
        ExplainedMember(row["username"], row["display_name"], row["score"], *kept[row["id"]])
        for row in found
    ]


def _explained(one: typed.Meaning) -> ExplainedWord:
    roman = folding.romanized(one.typed)
    return ExplainedWord(
        one.typed,
        roman,
        folding.sound(roman),
        len(typed.keys(roman, 2)),
        one.uses,
        _few(one.tokens),
    )


def _few(tokens: Sequence[str]) -> list[str]:
    return [*tokens[:SHOWN], *(["…"] if len(tokens) > SHOWN else [])]


def _is_telling(line: str) -> bool:
    """Whether a line of a plan names an index or a table that is read, or the time."""
    return " on " in line or line.startswith(("Planning Time", "Execution Time"))
