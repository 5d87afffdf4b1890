"""Render dashboards to Grafana's JSON with Grafana's library, which nothing else needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import BigValueGraphMode
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DataSourceRef

from chitlaq.monitoring.dashboards.all_dashboards import DASHBOARDS
from chitlaq.monitoring.dashboards.model import Dashboard, Panel, PanelKind

DATASOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
TAG = "chitlaq"
HEIGHT = 8

_Drawn = timeseries.Panel | stat.Panel | bargauge.Panel
_KINDS: Mapping[PanelKind, type[_Drawn]] = {
    "timeseries": timeseries.Panel,
    "stat": stat.Panel,
    "bargauge": bargauge.Panel,
}


def render() -> dict[str, bytes]:
    """Return the JSON of each dashboard by file name."""
    return {f"{one.uid}.json": _rendered(one) for one in DASHBOARDS}


def provisioning(folder: Path, prometheus_url: str) -> dict[str, bytes]:
    """Return what Grafana reads at its start: the data source, the dashboard provider, the dashboards.

    Args:
        folder: Grafana's provisioning folder, which the provider's path contains.
        prometheus_url: the URL under which Grafana reaches Prometheus.

    Returns:
        Contents by path below the folder. Grafana expects YAML; JSON is valid YAML.
    """
    source = {
        "name": "ChitLaq",
        "type": "prometheus",
        "uid": DATASOURCE.uid,
        "access": "proxy",
        "url": prometheus_url,
    }
    provider = {
        "name": "ChitLaq",
        "folder": "ChitLaq",
        "type": "file",
        "options": {"path": str(folder / "dashboards" / "chitlaq")},
    }
    return {
        "datasources/chitlaq.yaml": _json({"apiVersion": 1, "datasources": [source]}),
        "dashboards/chitlaq.yaml": _json({"apiVersion": 1, "providers": [provider]}),
        **{f"dashboards/chitlaq/{name}": content for name, content in render().items()},
    }


def _json(document: object) -> bytes:
    return json.dumps(document, cls=JSONEncoder, indent=2, sort_keys=True).encode() + b"\n"


def _rendered(declared: Dashboard) -> bytes:
    page = (
        dashboard.Dashboard(declared.title)
        .uid(declared.uid)
        .tags([TAG])
        # Changes belong in the code: the next provisioning would overwrite changes in Grafana.
        .readonly()
        .refresh("30s")
        .time(declared.span, "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(dashboard.DashboardLink("ChitLaq").tags([TAG]).as_dropdown(True).keep_time(True))
    )
    for row in declared.rows:
        page.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            page.with_panel(_drawn(panel))
    drawn = page.build()
    for number, one in enumerate(drawn.panels or [], start=1):
        one.id_val = number
    return _json(drawn)


def _drawn(panel: Panel) -> _Drawn:
    drawn = _KINDS[panel.kind]()
    drawn.title(panel.title).unit(panel.unit).datasource(DATASOURCE)
    drawn.span(panel.width).height(HEIGHT if panel.kind != "stat" else HEIGHT // 2)
    if panel.description:
        drawn.description(panel.description)
    if panel.unit in {"percentunit", "bool_on_off"}:
        drawn.min(0)
    for number, query in enumerate(panel.queries):
        asked = (
            prometheus.Dataquery()
            .expr(query.expr)
            .legend_format(query.legend)
            .ref_id(chr(ord("A") + number))
            .datasource(DATASOURCE)
        )
        drawn.with_target(asked.range() if panel.kind == "timeseries" else asked.instant())
    if isinstance(drawn, stat.Panel):
        drawn.graph_mode(BigValueGraphMode.NONE)
    if isinstance(drawn, stat.Panel | bargauge.Panel):
        drawn.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    return drawn
