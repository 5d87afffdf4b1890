"""Updates without a person, where the setting ``statuspage.automatic`` asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.incidents import incidents
from chitlaq.ops.statuspage import published
from chitlaq.ops.statuspage.components import FAULTS
from chitlaq.ops.statuspage.current import ComponentStatus
from chitlaq.ops.statuspage.published import UpdateStatus

AUTHOR = "chitlaq"
SEVERE = ("P0", "P1")
LOOKED_AT = 100


async def publish(
    database: OpsDatabase, shown: Sequence[ComponentStatus], *, acts: bool = True
) -> None:
    """Tell of the most severe open incident while members feel it, and of the end of one that was told of.

    Only one is told of at a time: others are mostly its effects, and a person may still publish them.

    Args:
        database: the operations database.
        shown: the components as members see them.
        acts: whether this is the ops-service of a site that tells subscribers. Another has its words of a
            begin (`following`), and says itself that what it was about is over here, too.

    Raises:
        OpsDatabaseUnavailableError: nothing can be read or stored.
    """
    told = await published.listed(database, datetime.now(UTC) - timedelta(days=1))
    going_on = [one for one in told if not one.is_over]
    for one in going_on:
        incident = await incidents.shown(database, one.incident_id)
        if incident.status == "resolved":
            await published.publish(
                database, one.incident_id, UpdateStatus.RESOLVED, AUTHOR, is_mailed=acts
            )
    failing = [one.id for one in shown if one.state in FAULTS and one.set_by is None]
    if going_on or not failing or not acts:
        return
    found = await incidents.listed(database, limit=LOOKED_AT)
    severe = [one for one in found if one.status != "resolved" and one.severity in SEVERE]
    if severe:
        worst = min(severe, key=lambda one: (one.severity, one.id))
        await published.publish(
            database,
            worst.id,
            UpdateStatus.INVESTIGATING,
            AUTHOR,
            names=failing,
        )
