"""An incident with everything that is known about it."""

from __future__ import annotations

import msgspec

from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.incidents import action_items, impact, incidents, timeline
from chitlaq.ops.incidents.action_items import ActionItem
from chitlaq.ops.incidents.impact import Impact
from chitlaq.ops.incidents.incidents import Incident
from chitlaq.ops.incidents.timeline import Entry

MAX_ITEMS = 100


class Details(msgspec.Struct, frozen=True):
    incident: Incident
    impact: Impact
    timeline: list[Entry]
    action_items: list[ActionItem]


async def of(database: OpsDatabase, home: Home, settings: Settings, number: int) -> Details:
    """Return all about an incident.

    Raises:
        OperatorError: there is none with this number.
    """
    return Details(
        await incidents.shown(database, number),
        await impact.of(database, home, settings, number),
        await timeline.of(database, number),
        await action_items.listed(database, number=number, limit=MAX_ITEMS),
    )
