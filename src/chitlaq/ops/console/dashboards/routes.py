"""The screens Dashboards: the list, one with its graphs, the same as tables, and the data of a panel."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec
from litestar import Response

from chitlaq.core.http import problems
from chitlaq.core.installation.settings import Settings
from chitlaq.core.local_time import iana_name
from chitlaq.monitoring.dashboards.all_dashboards import DASHBOARDS
from chitlaq.monitoring.dashboards.model import Dashboard, Panel
from chitlaq.ops.console.dashboards import drawing
from chitlaq.ops.console.dashboards.drawing import SPANS, Drawing, Drawn, shown
from chitlaq.ops.console.pages import ConsoleRequest, Unknown, looked, page, screen
from chitlaq.ops.state import OpsState

LOOK_SECONDS = 5.0
"""How long the values of a dashboard's panels may take, all together: Prometheus is asked for many."""


@screen("/ops/dashboards", sync_to_thread=False)
def dashboards(request: ConsoleRequest) -> Response[str]:
    return page(request, "dashboards.html", dashboards=DASHBOARDS, name_of=_name_of)


@screen("/ops/dashboards/{uid:str}")
async def dashboard(request: ConsoleRequest, state: OpsState, uid: str) -> Response[str]:
    found = _found(uid)
    span = drawing.span_of(found, request.query_params.get("span", ""))
    as_table = request.query_params.get("view") == "table"
    values: list[Drawn | Unknown] = []
    if as_table:
        drawn = Drawing(state.context.home, state.context.settings, SPANS[span])
        values = await asyncio.gather(
            *(looked(drawn.now(panel), LOOK_SECONDS) for panel in found.panels)
        )
    return page(
        request,
        "dashboard_table.html" if as_table else "dashboard.html",
        dashboard=found,
        dashboards=DASHBOARDS,
        name_of=_name_of,
        span=span,
        spans=SPANS,
        values=values,
        iana_zone=iana_name(datetime.now(UTC)),
        thresholds={panel: _threshold(state.context.settings, panel) for panel in found.panels},
    )


class PanelData(msgspec.Struct):
    """A panel for the browser: what is drawn, or why that is unknown."""

    drawn: Drawn | None
    unknown: str = ""


@screen(
    "/ops/dashboards/{uid:str}/panels/{number:int}",
    media_type="application/json",
)
async def panel_data(
    request: ConsoleRequest, state: OpsState, uid: str, number: int
) -> Response[PanelData]:
    found = _found(uid)
    if not 0 <= number < len(found.panels):
        raise problems.not_found("panel")
    span = drawing.span_of(found, request.query_params.get("span", ""))
    drawn = Drawing(state.context.home, state.context.settings, SPANS[span])
    answer = await looked(drawn.panel(found.panels[number]), LOOK_SECONDS)
    data = PanelData(None, answer.reason) if isinstance(answer, Unknown) else PanelData(answer)
    return Response(data, headers={"Cache-Control": "no-store"})


def _found(uid: str) -> Dashboard:
    """Return the dashboard with an ID.

    Raises:
        Problem: 404.
    """
    for one in DASHBOARDS:
        if one.uid == uid:
            return one
    raise problems.not_found("dashboard")


def _name_of(dashboard: Dashboard) -> str:
    """The title without the product's name, which every page has."""
    return dashboard.title.removeprefix("ChitLaq: ")


class Threshold(msgspec.Struct, frozen=True):
    """From where a panel's value is a warning and from where it is critical: numbers, and words."""

    warning: float
    critical: float
    words: str


def _threshold(settings: Settings, panel: Panel) -> Threshold | None:
    """The thresholds of the checks, where a panel shows what one of them judges."""
    if not panel.threshold:
        return None
    warning, critical = settings.value_of(f"checks.{panel.threshold}")
    side = "from" if critical > warning else "below"
    words = f"Warning {side} {shown(warning, panel.unit)}, critical {side} {shown(critical, panel.unit)}"
    return Threshold(warning, critical, words)
