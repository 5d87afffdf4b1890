"""The runbook's step for an alert: its procedure, and the action that it calls for where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from chitlaq import inventory
from chitlaq.monitoring.alerts import registry
from chitlaq.ops.incidents.incidents import IncidentAlert
from chitlaq.ops.runbook import original

_RESTARTED = frozenset(
    {"DatabaseDown", "EdgeDown", "CacheDown", "ServiceDown", "MonitoringDown", "EventLoopLags"}
)
_PRUNED = frozenset({"DiskAlmostFull", "DiskLow", "DiskFillsWithinDay", "InodesLow"})
_BY_JOB: Mapping[str, str] = {row.job: row.name for row in inventory.COMPONENTS.values() if row.job}


@dataclass(frozen=True, slots=True)
class Remedy:
    """What the runbook says to do.

    Args:
        procedure: its title.
        checks: the commands that look closer.
        action: the word of an action, or empty; with its target.
    """

    procedure: str
    checks: tuple[str, ...]
    action: str = ""
    target: str = ""


def remedy(alert: IncidentAlert) -> Remedy:
    """Return the step for an alert."""
    action, target = _action(alert)
    procedure = _procedures().get(alert.name, "")
    return Remedy(procedure, commands(procedure), action, target)


@cache
def _procedures() -> Mapping[str, str]:
    return {one.name: one.procedure for one in registry.alerts()}


def _action(alert: IncidentAlert) -> tuple[str, str]:
    if alert.name in _RESTARTED:
        named = (
            alert.labels.get("component")
            or alert.labels.get("job")
            or alert.labels.get("service", "")
        )
        component = _BY_JOB.get(named, named)
        return ("restart", component) if component in inventory.COMPONENTS else ("", "")
    if alert.name in _PRUNED:
        return "prune", ""
    return "", ""


def _command(name: str) -> str:
    """What one types for a name of `original.Replacement.by`."""
    if "." in name:
        return f"chitlaq ops check {name}"
    return f"chitlaq ops {name}" if name.startswith("do ") else f"chitlaq {name}"


def commands(procedure: str) -> tuple[str, ...]:
    """The commands below a heading of the runbook, as they are today."""
    found: dict[str, None] = {}
    for section in original.sections():
        if section.title == procedure:
            for command in section.commands:
                for name in original.replacement(command).by:
                    found[_command(name)] = None
    return tuple(found)
