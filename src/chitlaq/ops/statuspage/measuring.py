"""What is measured of each component now: by checks of ops-service's own, and by alerts that fire.

Neither needs PostgreSQL, Valkey, nginx or Prometheus: checks ask the services, and the alerts that fire are
in the operations database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from chitlaq.core.host import http_client
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.ops.checks import runner
from chitlaq.ops.checks.model import Verdict
from chitlaq.ops.checks.registry import CHECKS
from chitlaq.ops.checks.runner import Result
from chitlaq.ops.checks.sources.system import SystemView
from chitlaq.ops.statuspage.components import (
    AT_EDGE,
    COMPONENTS,
    EVERYWHERE,
    OF_A_SERVICE,
    Component,
    State,
    about,
    worst,
)

EDGE_SECONDS = 3.0

Labels = Mapping[str, str]


async def measured(home: Home, settings: Settings, alerts: Iterable[Labels]) -> Mapping[str, State]:
    """Return the state of each component now.

    Args:
        alerts: the labels of the alerts that fire.
    """
    names = sorted({name for one in COMPONENTS.values() for name in one.checks})
    system = SystemView(home, settings)
    try:
        edge, results = await asyncio.gather(
            _edge_answers(settings),
            asyncio.gather(*(runner.judge(CHECKS[name], system) for name in names)),
        )
    finally:
        await system.close()
    return combined(edge, {one.check: one for one in results}, list(alerts))


def combined(
    edge_answers: bool, results: Mapping[str, Result], alerts: Iterable[Labels]
) -> Mapping[str, State]:
    """Return the state of each component: the worst of what checks and alerts say of it."""
    if not edge_answers:
        return dict.fromkeys(COMPONENTS, State.MAJOR_OUTAGE)
    alerts = list(alerts)
    found = {
        one.id: worst((*_of_checks(one, results), *(_of_alert(one, labels) for labels in alerts)))
        for one in COMPONENTS.values()
    }
    if all(state is State.OPERATIONAL for state in found.values()):
        overall = worst(AT_EDGE.get(_name(labels), State.OPERATIONAL) for labels in alerts)
        return dict.fromkeys(COMPONENTS, overall)
    return found


def _of_checks(component: Component, results: Mapping[str, Result]) -> Iterable[State]:
    for name in component.checks:
        match results[name]:
            case Result(verdict=Verdict.CRITICAL) as result:
                # It answers, and takes long.
                is_slow = any(value.verdict is Verdict.CRITICAL for value in result.values.values())
                yield State.DEGRADED_PERFORMANCE if is_slow else State.MAJOR_OUTAGE
            case Result(verdict=Verdict.WARNING | Verdict.UNKNOWN):
                yield State.DEGRADED_PERFORMANCE


def _of_alert(component: Component, labels: Labels) -> State:
    name = _name(labels)
    if component.id not in about(labels):
        return State.OPERATIONAL
    return (
        component.alerts.get(name)
        or EVERYWHERE.get(name)
        or OF_A_SERVICE.get(name, State.OPERATIONAL)
    )


def _name(labels: Labels) -> str:
    return labels.get("alertname", "")


async def _edge_answers(settings: Settings) -> bool:
    """Whether nginx answers members, for which it needs nothing else: this is a file."""
    url = settings.url_of("nginx") + "/status.json"
    try:
        await http_client.get(url, timeout_seconds=EDGE_SECONDS)
    except http_client.NoAnswerError:
        return False
    return True
