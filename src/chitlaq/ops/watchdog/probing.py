"""Probe what everything stands on, and raise an alert where nobody else can.

While Prometheus and Alertmanager work they do that, with more care. What they cannot tell, since they are
down themselves, is raised here, by the same way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

import asyncpg

from chitlaq.core.data import valkey
from chitlaq.core.data.postgres import PostgresUnavailableError
from chitlaq.core.http.service import Context
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.ops.database.database import (
    OpsDatabase,
    OpsDatabaseUnavailableError,
    statement,
)
from chitlaq.ops.watchdog import own_alerts
from chitlaq.ops.watchdog.alert_path import AlertPath
from chitlaq.ops.watchdog.own_alerts import OwnAlert
from chitlaq.stack.supervisor import probes
from chitlaq.stack.supervisor.probes import Probe

EVERY_SECONDS = 10.0
MISSES = 3
"""So many missed probes in a row are a failure."""
ANSWERS = 2
"""So many answers in a row end it."""
PATIENCE_SECONDS = 180.0
"""After this it is raised even if alerts arrive: they should have told by then."""
_DOWN = "ComponentDown"

log = logs.get("watchdog")


def _down(component: str, name: str, severity: str, summary: str, procedure: str) -> OwnAlert:
    labels = {"component": component, "family": _DOWN}
    if component == "nginx":
        labels["service"] = "api-gateway"
    return OwnAlert(component, name, severity, summary, procedure, labels)


ALERTS: Mapping[str, OwnAlert] = {
    one.key: one
    for one in (
        _down(
            "postgres", "DatabaseDown", "P0",
            "PostgreSQL is not responding: all writes fail, and almost all reads.", "Database Health",
        ),
        _down(
            "redis", "CacheDown", "P1",
            "Valkey is not responding: feeds are slow, rate limits and live events are off.",
            "Redis Health",
        ),
        _down(
            "nginx", "EdgeDown", "P0",
            "nginx is not responding: members cannot reach anything.", "Service Outage Response",
        ),
        _down(
            "prometheus", "PrometheusDown", "P1",
            "Prometheus is not responding: alerts are not evaluated.", "Monitoring Dashboard Review",
        ),
        _down(
            "alertmanager", "AlertmanagerDown", "P1",
            "Alertmanager is not responding: alerts do not arrive.", "Monitoring Dashboard Review",
        ),
    )
}  # fmt: skip
_TELLERS = ("prometheus", "alertmanager")


@dataclass(slots=True)
class _Seen:
    """How a component has answered lately."""

    misses: int = 0
    answers: int = 0
    missed_at: float = 0.0
    """By the clock that is never set, when the first of these misses was."""


class Watch:
    """Judges probes: what is down, and whether it is for us to say so.

    Args:
        components: what is probed.
        answered: those that have answered once, ever. An observer that this machine does not have is not
            down.
    """

    def __init__(self, components: frozenset[str], answered: frozenset[str]) -> None:
        self._seen = {name: _Seen() for name in components}
        self.answered = answered

    def saw(self, component: str, at: float, *, is_up: bool) -> None:
        seen = self._seen[component]
        if is_up:
            self.answered |= {component}
            seen.misses, seen.answers = 0, seen.answers + 1
            return
        if not seen.misses:
            seen.missed_at = at
        seen.misses, seen.answers = seen.misses + 1, 0

    def is_down(self, component: str) -> bool:
        seen = self._seen.get(component)
        return seen is not None and component in self.answered and seen.misses >= MISSES

    def is_back(self, component: str) -> bool:
        seen = self._seen.get(component)
        return seen is None or seen.answers >= ANSWERS

    def to_raise(self, at: float, *, alerts_arrive: bool) -> dict[str, float]:
        """Return what is to be raised, and for how many seconds it has been down."""
        down = {name: at - self._seen[name].missed_at for name in self._seen if self.is_down(name)}
        if alerts_arrive and not any(
            self._seen[one].misses for one in _TELLERS if one in self._seen
        ):
            return {name: seconds for name, seconds in down.items() if seconds >= PATIENCE_SECONDS}
        return down


async def watch_forever(
    probing: Mapping[str, Probe], database: OpsDatabase, path: AlertPath, arrived: asyncio.Event
) -> None:
    """Probe until cancelled.

    Args:
        probing: the probe of each component.
        database: has the alerts.
        path: whether alerts arrive otherwise.
        arrived: set when an alert was raised, or ended.
    """
    answered: frozenset[str] = frozenset()
    watch: Watch | None = None
    while True:
        try:
            if watch is None:
                rows = await database.rows("answered_components")
                answered = frozenset(row["component"] for row in rows)
                watch = Watch(frozenset(probing), answered)
            await _look(probing, watch)
            if watch.answered != answered:
                for name in watch.answered - answered:
                    await database.write(statement("component_answered", name, datetime.now(UTC)))
                answered = watch.answered
            if await _raise(database, watch, alerts_arrive=path.works):
                arrived.set()
        except (OpsDatabaseUnavailableError, OSError) as error:
            log.error("probes not judged", error=str(error))
        await asyncio.sleep(EVERY_SECONDS)


async def _look(probing: Mapping[str, Probe], watch: Watch) -> None:
    answers = await asyncio.gather(*(probe(0) for probe in probing.values()))
    at = monotonic()
    for name, answer in zip(probing, answers, strict=True):
        watch.saw(name, at, is_up=bool(answer))


async def _raise(database: OpsDatabase, watch: Watch, *, alerts_arrive: bool) -> bool:
    """Raise and end alerts of our own, and return whether any changed."""
    firing = await own_alerts.firing(database)
    now = datetime.now(UTC)
    changed = False
    for name, seconds in watch.to_raise(monotonic(), alerts_arrive=alerts_arrive).items():
        if name not in firing:
            log.error("component down, and nobody else can tell", component=name, seconds=seconds)
            await own_alerts.report(database, ALERTS[name], now)
            changed = True
    for name, since in firing.items():
        if name in ALERTS and watch.is_back(name):
            await own_alerts.report(database, ALERTS[name], since, now)
            changed = True
    return changed


def probes_of(context: Context) -> dict[str, Probe]:
    """Return the probes of the components that this installation has."""
    home, settings = context.home, context.settings

    async def external_postgres(_pid: int) -> bool:
        try:
            return bool(await context.database.value("clock"))
        except (PostgresUnavailableError, asyncpg.PostgresError):
            return False

    async def external_valkey(_pid: int) -> bool:
        try:
            return bool(await context.valkey.each("PING"))
        except valkey.UNAVAILABLE:
            return False

    return {
        "postgres": (
            probes.postgres(home.postgres_socket, settings.port_of("postgres"))
            if settings.embeds("postgres")
            else probes.bounded(external_postgres)
        ),
        "redis": (
            probes.redis(home) if settings.embeds("redis") else probes.bounded(external_valkey)
        ),
        "nginx": probes.edge(home.nginx_probe),
        **{
            name: probes.observer(home, settings, name, "/-/ready") for name in _observers(settings)
        },
    }


def _observers(settings: Settings) -> list[str]:
    return [name for name in _TELLERS if settings.embeds(name) or settings.value_of(f"{name}_url")]
