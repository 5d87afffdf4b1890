"""Screens that only read: alerts, who did what."""

from __future__ import annotations

import asyncio

from litestar import Response

from chitlaq.ops.console.pages import ConsoleRequest, Unknown, looked, page, screen
from chitlaq.ops.console.screens import audit
from chitlaq.ops.history import alert_history
from chitlaq.ops.state import OpsState

LISTED = 200


@screen("/ops/alerts")
async def alerts(request: ConsoleRequest, state: OpsState) -> Response[str]:
    firing, resolved = await asyncio.gather(
        looked(alert_history.alerts(state.operations, is_active=True, limit=LISTED)),
        looked(alert_history.alerts(state.operations, is_active=False, limit=LISTED)),
    )
    if not isinstance(firing, Unknown):
        # P0 to P3, then those without a severity; the newest first within each.
        firing.sort(key=lambda one: one.severity)
    return page(request, "alerts.html", firing=firing, resolved=resolved, limit=LISTED)


@screen("/ops/audit")
async def audited(request: ConsoleRequest, state: OpsState) -> Response[str]:
    found = await looked(audit.listed(state.operations, LISTED))
    return page(request, "audit.html", found=found, limit=LISTED)
