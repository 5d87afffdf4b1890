"""Tell subscribers of announced work: of the announcement, or else the beginning, and of the end."""

from __future__ import annotations

import hashlib
from datetime import datetime
from uuid import UUID

from chitlaq.core import ids
from chitlaq.ops.database.database import OpsDatabase, statement
from chitlaq.ops.statuspage import maintenance
from chitlaq.ops.statuspage.maintenance import Maintenance


async def announce(database: OpsDatabase, now: datetime) -> None:
    """Let mails wait about work that subscribers have not been told of, or not of its end.

    Raises:
        OpsDatabaseUnavailableError: nothing can be read or stored.
    """
    for work in await maintenance.to_tell(database, now):
        status = "withdrawn" if work.is_withdrawn else work.status(now)
        update = _id(work, status)
        await database.write(
            statement("tell_of_maintenance", update, work.id, status, now),
            statement("queue_maintenance_mails", update),
        )


def _id(work: Maintenance, status: str) -> UUID:
    """Return the id of an update: of two ops-services that tell of it, the mails of one are queued.

    It sorts by the time of what it tells.
    """
    begun = max(work.made_at, work.starts_at)
    at = {"scheduled": work.made_at, "in_progress": begun}.get(status, work.over_at)
    told = hashlib.sha256(f"{work.id} {work.made_at} {work.made_by} {status}".encode()).digest()
    microseconds = round(at.timestamp() * 1_000_000)
    return UUID(bytes=ids.uuid7_bytes(microseconds, int.from_bytes(told[:8]) >> 2))
