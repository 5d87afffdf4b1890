"""All alerts, as Prometheus's rules and as the page that people read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from chitlaq.monitoring.alerts import components, databases, host, safety, services, slos
from chitlaq.monitoring.alerts.alert import Alert, with_twins


def groups() -> Mapping[str, Sequence[Alert]]:
    """Return the alerts by the name of their group, twins included."""
    return {
        "slo": slos.alerts(),
        "components": with_twins(components.alerts()),
        "host": with_twins(host.alerts()),
        "databases": with_twins(databases.alerts()),
        "work": with_twins(services.alerts()),
        "safety": with_twins(safety.alerts()),
    }


def alerts() -> list[Alert]:
    """Return all alerts; each name once.

    Raises:
        ValueError: two alerts have one name.
    """
    found = [alert for group in groups().values() for alert in group]
    names = [alert.name for alert in found]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"more than one alert is called {', '.join(doubled)}")
    return found


def rule_groups(*, only: str | None = None) -> bytes:
    """Return Prometheus's rules file: JSON, which is YAML.

    Args:
        only: a group, for proving it by itself.
    """
    return _written({"groups": [_group(name) for name in groups() if only in {None, name}]})


def _group(name: str) -> dict[str, Any]:
    # The rules of a group are evaluated in order: what is recorded comes before who reads it.
    recorded = slos.recording_rules() if name == "slo" else []
    return {"name": name, "rules": recorded + [alert.rule for alert in groups()[name]]}


def alerts_page() -> str:
    """Return ``docs/alerts.md``."""
    lines = [
        "# Alerts",
        "",
        "Written by `chitlaq.monitoring.alerts.rules.alerts_page()`; a test compares. Each alert is",
        "declared with series under which it fires and series under which it is silent, and promtool",
        "runs them all. *After* is how long the condition must hold. Severities and procedures are the",
        "runbook's; *N* is the measured value.",
        "",
        "An alert whose name ends in *Unseen* says that another could not be judged: the metric is not",
        "there. While the cause of that (ops-service, PostgreSQL, Valkey, nginx or node-exporter is down)",
        "fires, it keeps silent.",
    ]
    for name, group in groups().items():
        lines += [
            "",
            f"## {_TITLES[name]}",
            "",
            "| alert | severity | after | meaning | procedure |",
            "|---|---|---|---|---|",
            *(
                f"| {alert.name} | {alert.severity} | {alert.for_} | {_meaning(alert.summary)}"
                f" | {alert.procedure} |"
                for alert in group
            ),
        ]
    return "\n".join(lines) + "\n"


_TITLES = {
    "slo": "Promises to members",
    "components": "Components",
    "host": "Machine",
    "databases": "PostgreSQL and Valkey",
    "work": "Services' work",
    "safety": "Backups and certificates",
}


def _meaning(summary: str) -> str:
    named = re.sub(r"\{\{ \$labels\.(\w+) \}\}", r"*\1*", summary)
    return re.sub(r"\{\{ \$value[^}]*\}\}", "*N*", named)


def _written(document: Mapping[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document)) + b"\n"
