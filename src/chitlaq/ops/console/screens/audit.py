"""Who did what and when: actions, what people did to incidents, and sign-ins to the console."""

from __future__ import annotations

from datetime import datetime

import msgspec

from chitlaq.ops.database.database import OpsDatabase


class Deed(msgspec.Struct, frozen=True):
    """One line of the record."""

    at: datetime
    operator: str
    what: str
    why: str
    place: str
    """The page that shows more, or an empty string."""


async def listed(database: OpsDatabase, limit: int) -> list[Deed]:
    """Return what operators did, newest first."""
    rows = await database.rows("deeds", limit)
    return msgspec.convert(list(map(dict, rows)), list[Deed])
