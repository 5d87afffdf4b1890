"""One box over members, tags, groups and recent searches."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from chitlaq.services.search.members import FoundMember
from chitlaq.services.search.tags import FoundTag


class FoundGroup(msgspec.Struct, frozen=True):
    """A conversation of several that the viewer takes part in."""

    id: UUID
    name: str


class Suggestions(msgspec.Struct, frozen=True):
    """A few of each kind, the best match first."""

    members: Sequence[FoundMember]
    tags: list[FoundTag]
    conversations: list[FoundGroup]
    searches: list[str]
