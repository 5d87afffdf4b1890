"""State of ops-service's handlers."""

from __future__ import annotations

import asyncio

from chitlaq.core.http.service import Context, ServiceState
from chitlaq.ops.console.console import Console
from chitlaq.ops.database.database import OpsDatabase


class OpsState(ServiceState):
    context: Context
    operations: OpsDatabase
    incidents_changed: asyncio.Event
    """Set when an alert has opened or changed an incident: who escalates looks at once, and clears it."""
    console: Console
