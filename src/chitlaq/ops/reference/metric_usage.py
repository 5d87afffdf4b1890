"""Which alerts, dashboards and checks use which metric."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from chitlaq.monitoring.alerts import registry, slos
from chitlaq.monitoring.dashboards.all_dashboards import DASHBOARDS
from chitlaq.ops.checks.registry import CHECKS

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
# The query in a check's command (checks/sources/prometheus.py); the rest of a command is not PromQL.
_ASKED = re.compile(r"--data-urlencode 'query=([^']*)'")
_PARTS = ("_bucket", "_sum", "_count")


def by_metric() -> Mapping[str, Sequence[str]]:
    """Return the places that use each metric, by name; histograms by their name without suffix."""
    used: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for rule in slos.recording_rules():
        _note(used, rule["expr"], "objectives")
    for alert in registry.alerts():
        _note(used, alert.expr, alert.name)
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels:
            for query in panel.queries:
                _note(used, query.expr, f"dashboard {dashboard.title}")
    for check in CHECKS.values():
        for command in check.commands:
            for expression in _ASKED.findall(command):
                _note(used, expression, f"check {check.id}")
    return {name: list(places) for name, places in used.items()}


def _note(used: defaultdict[str, dict[str, None]], expression: str, place: str) -> None:
    for name in _NAME.findall(re.sub(r'"[^"]*"', "", expression)):
        used[name][place] = None
        for part in _PARTS:
            if name.endswith(part):
                used[name.removesuffix(part)][place] = None
