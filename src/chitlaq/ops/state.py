"""State of ops-service's handlers."""

from __future__ import annotations

import asyncio

from chitlaq.core.data.batching import Batcher
from chitlaq.core.http.service import Context, ServiceState
from chitlaq.ops.console.console import Console
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.history.alert_history import AlertmanagerPayload
from chitlaq.ops.lease.lease import Lease
from chitlaq.ops.watchdog.alert_path import AlertPath


class OpsState(ServiceState):
    context: Context
    operations: OpsDatabase
    reports: Batcher[AlertmanagerPayload, None]
    """Stores what Alertmanager reports; reports that come together are one transaction."""
    alerts_arrived: asyncio.Event
    """Set when a report is stored: alerts join incidents at once."""
    incidents_changed: asyncio.Event
    """Set when an alert has opened or changed an incident: who escalates looks at once, and clears it."""
    alert_path: AlertPath
    """Takes note of the Watchdog: alerts arrive."""
    console: Console
    lease: Lease
    """Whether this ops-service acts, or another machine's."""
