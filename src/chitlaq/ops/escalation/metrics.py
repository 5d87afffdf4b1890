"""What Prometheus sees of escalation, so that alerts watch what tells people of alerts."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from prometheus_client.core import Metric

from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.monitoring.exporter.exported_metrics import metric
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.lease.permission import ALONE, Permission
from chitlaq.ops.oncall import current, overrides, rotations
from chitlaq.ops.oncall.roster import ON_CALL
from chitlaq.ops.watchdog.heartbeat_sender import SENDER

FAILED_WITHIN = timedelta(hours=1)


async def metrics(
    home: Home, settings: Settings, database: OpsDatabase, lease: Permission = ALONE
) -> list[Metric]:
    """Return whether the plan is valid, who is on call, and how pages went; none waits where another sends.

    Raises:
        OpsDatabaseUnavailableError: pages cannot be counted.
    """
    now = datetime.now(UTC)
    found = await asyncio.to_thread(current.read, home, settings.operations)
    (pages,) = await database.rows("page_figures", now - FAILED_WITHIN, now)
    overdue = pages["overdue"] if lease.may_alert else None
    made = [
        metric("oncall_roster_valid", not found.fault),
        metric("escalation_pages_failed", pages["failed"]),
        metric("escalation_page_overdue_seconds", max(0.0, overdue or 0.0)),
    ]
    if current.is_configured(found.roster):
        standing_in = await overrides.listed(database, now)
        people = rotations.told(found.roster, standing_in, ON_CALL, now)
        made.append(metric("oncall_people_on_call", len(people)))
    if settings.operations.heartbeat_url and lease.may_alert:
        sent = [
            datetime.fromisoformat(row["at"]).timestamp()
            for row in await database.rows("deliveries")
            if row["person"] == SENDER and row["outcome"] == "sent"
        ]
        made += [metric("heartbeat_sent_timestamp_seconds", at) for at in sent]
    return made
