"""Tell subscribers of announced work: of the announcement, or else the beginning, and of the end."""

from __future__ import annotations

from datetime import datetime

from chitlaq.core import ids
from chitlaq.ops.database.database import OpsDatabase, statement
from chitlaq.ops.statuspage import maintenance


async def announce(database: OpsDatabase, now: datetime) -> None:
    """Let mails wait about work that subscribers have not been told of, or not of its end.

    Raises:
        OpsDatabaseUnavailableError: nothing can be read or stored.
    """
    for work in await maintenance.to_tell(database, now):
        update = ids.new()
        status = "withdrawn" if work.is_withdrawn else work.status(now)
        await database.write(
            statement("tell_of_maintenance", update, work.id, status, now),
            statement("queue_maintenance_mails", update),
        )
