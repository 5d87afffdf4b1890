"""Suggest while somebody types: members, tags, groups and recent searches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

from chitlaq.core.data.postgres import Database
from chitlaq.core.http.paging import Paging
from chitlaq.core.text import folding
from chitlaq.services.search.members import FoundMember, members
from chitlaq.services.search.members.common import Common
from chitlaq.services.search.suggest import FoundGroup, Suggestions
from chitlaq.services.search.tags import FoundTag, tags

OTHERS = 3
"""Tags, groups and searches, each, besides the members."""
COUNTED = 20
"""Posts of a suggested tag that are counted."""


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
    is_tag, is_member = folded.startswith("#"), folded.startswith("@")

    async def people() -> Sequence[FoundMember]:
        return [] if is_tag else await members.search(database, common, viewer, text, limit)

    async def topics() -> list[FoundTag]:
        if is_member:
            return []
        found = await tags.find(database, viewer, text, Paging.of(1, OTHERS), COUNTED)
        return list(found.items)

    async def own() -> tuple[list[FoundGroup], list[str]]:
        if viewer is None or is_tag or is_member or not folded:
            return [], []
        rows = await primary.rows("own_suggestions", viewer, folding.as_pattern(folded), OTHERS)
        groups = [FoundGroup(row["id"], row["text"]) for row in rows if row["id"]]
        return groups, [row["text"] for row in rows if not row["id"]]

    found, topic, (groups, searches) = await asyncio.gather(people(), topics(), own())
    return Suggestions(found, topic, groups, searches)
