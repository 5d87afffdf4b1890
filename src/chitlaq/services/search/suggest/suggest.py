"""Suggest while somebody types: members, tags, groups and recent searches."""

from __future__ import annotations

import asyncio
from uuid import UUID

from chitlaq.core.data.postgres import Database
from chitlaq.core.http.paging import Paging
from chitlaq.core.text import folding
from chitlaq.services.search.members import members
from chitlaq.services.search.members.common import Common
from chitlaq.services.search.suggest import FoundGroup, Suggestions
from chitlaq.services.search.tags import tags

KINDS = ("tag", "group", "search")
OTHERS = 3
"""Tags, groups and searches, each, besides the members."""
COUNTED = 4
"""Posts of a suggested tag that are counted: each takes as long as a member."""


async def suggest(
    database: Database,
    primary: Database,
    common: Common,
    viewer: UUID | None,
    text: str,
    limit: int,
) -> Suggestions:
    """Return what the text may be the beginning of: up to ``limit`` members, and three of each other kind.

    A text that begins with ``@`` means members, one with ``#`` tags.

    Args:
        database: has what everybody may find, and may be a standby.
        primary: has what is the viewer's own.
        common: the beginnings of names that many have.
        viewer: who types, if they are signed in.
        text: what was typed until now.
        limit: of members.
    """
    folded = folding.folded(text.strip())
    if folded.startswith("#"):
        found = await tags.find(database, viewer, text, Paging.of(1, OTHERS), counted=COUNTED)
        return Suggestions([], list(found.items), [], [])
    people = members.suggest(database, common, viewer, text, limit)
    if folded.startswith("@") or not folded:
        return Suggestions(await people, [], [], [])
    beside = (database if viewer is None else primary).rows(
        "suggested_beside", viewer, folded, folding.as_pattern(folded), OTHERS, COUNTED + 1
    )
    found_members, rows = await asyncio.gather(people, beside)
    of_kind = {kind: [row for row in rows if row["kind"] == kind] for kind in KINDS}
    return Suggestions(
        found_members,
        [tags.counted_to(COUNTED, row["text"], row["posts"]) for row in of_kind["tag"]],
        [FoundGroup(row["id"], row["text"]) for row in of_kind["group"]],
        [row["text"] for row in of_kind["search"]],
    )
