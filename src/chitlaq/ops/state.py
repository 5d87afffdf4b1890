"""State of ops-service's handlers."""

from __future__ import annotations

from chitlaq.core.http.service import Context, ServiceState
from chitlaq.ops.database.database import OpsDatabase


class OpsState(ServiceState):
    context: Context
    operations: OpsDatabase
