"""Routes of the history of alerts."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.params import Parameter

from chitlaq.core.http import openapi
from chitlaq.core.http.operators import operator
from chitlaq.core.http.paging import PageLimit
from chitlaq.ops.history import alert_history
from chitlaq.ops.history.alert_history import AlertmanagerPayload, AlertRecord
from chitlaq.ops.state import OpsState

# So much is decoded within some hundredths of a second, in which nobody else is answered.
MAX_REPORT_BYTES = 4_000_000

Active = Annotated[
    bool | None, Parameter(description="Only alerts that are firing (true) or resolved (false).")
]


@get(
    "/alerts",
    summary="Firing and resolved alerts, firing ones first",
    guards=[operator],
    security=openapi.SIGNED_IN,
)
async def list_alerts(
    state: OpsState, active: Active = None, limit: PageLimit = 100
) -> list[AlertRecord]:
    return await alert_history.alerts(state.operations, is_active=active, limit=limit)


@post(
    "/alerts",
    status_code=204,
    summary="Webhook for Alertmanager's notifications",
    # Alertmanager never repeats what is refused as too large: it sends `routing.MAX_ALERTS` at most.
    request_max_body_size=MAX_REPORT_BYTES,
    guards=[operator],
    security=openapi.SIGNED_IN,
)
async def report_alerts(state: OpsState, data: AlertmanagerPayload) -> None:
    await state.reports.ask(data)
    state.alert_path.look(data)
    state.alerts_arrived.set()
