"""The components of the status page: what members call the system's parts, and what each stands on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from chitlaq import inventory
from chitlaq.core.errors import OperatorError


class State(StrEnum):
    """Statuspage's own words, from best to worst; maintenance is announced, so it is no fault."""

    OPERATIONAL = "operational"
    UNDER_MAINTENANCE = "under_maintenance"
    DEGRADED_PERFORMANCE = "degraded_performance"
    PARTIAL_OUTAGE = "partial_outage"
    MAJOR_OUTAGE = "major_outage"

    @property
    def rank(self) -> int:
        return _RANKS[self]


_RANKS: Mapping[State, int] = {state: rank for rank, state in enumerate(State)}
FAULTS = (State.DEGRADED_PERFORMANCE, State.PARTIAL_OUTAGE, State.MAJOR_OUTAGE)


def worst(states: Iterable[State]) -> State:
    """Return the worst state; operational if there is none."""
    return max(states, key=lambda one: one.rank, default=State.OPERATIONAL)


@dataclass(frozen=True, slots=True)
class Component:
    """A part of the system as members know it.

    Args:
        id: the word that operators type, and its id in ``/status.json``.
        services: the services that do its work: alerts and maintenance of one are its own.
        checks: ids of checks that say now whether it works.
        alerts: alerts without a service's label that are about it, and the state that each means.
    """

    id: str
    services: tuple[str, ...]
    checks: tuple[str, ...]
    alerts: Mapping[str, State]


COMPONENTS: Mapping[str, Component] = {
    one.id: one
    for one in (
        Component("sign-in", ("auth-service",), ("auth.health", "auth.status"), {}),
        Component(
            "feed",
            ("feed-service",),
            ("feed.health", "feed.home"),
            {"DeliveriesStuck": State.DEGRADED_PERFORMANCE},
        ),
        Component("chat", ("websocket",), ("websocket.health", "websocket.ping"), {}),
        Component("search", ("search-service",), ("search.health", "search.users"), {}),
        # auth-service hands mails to the mail server.
        Component(
            "mail", ("auth-service",), ("auth.health",), {"MailsStuck": State.PARTIAL_OUTAGE}
        ),
    )
}

EVERYWHERE: Mapping[str, State] = {
    "HostDown": State.MAJOR_OUTAGE,
    "DatabaseDown": State.MAJOR_OUTAGE,
    "EdgeDown": State.MAJOR_OUTAGE,
    "DatabaseConnectionsExhausted": State.PARTIAL_OUTAGE,
    "CacheDown": State.DEGRADED_PERFORMANCE,
}
"""Alerts on what all components stand on."""

OF_A_SERVICE: Mapping[str, State] = {
    "ServiceDown": State.MAJOR_OUTAGE,
    "ServiceAvailabilityBurnsFast": State.PARTIAL_OUTAGE,
    "ServiceAvailabilityBurnsSteadily": State.DEGRADED_PERFORMANCE,
    "ServiceLatencyBurnsFast": State.DEGRADED_PERFORMANCE,
    "ServiceLatencyBurnsSteadily": State.DEGRADED_PERFORMANCE,
    "PoolWaiting": State.DEGRADED_PERFORMANCE,
    "EventLoopLags": State.DEGRADED_PERFORMANCE,
}
"""Alerts with the label ``service``, which say what members of that service's components feel."""

AT_EDGE: Mapping[str, State] = {
    "EdgeAvailabilityBurnsFast": State.DEGRADED_PERFORMANCE,
    "EdgeAvailabilityBurnsSteadily": State.DEGRADED_PERFORMANCE,
    "EdgeLatencyBurnsFast": State.DEGRADED_PERFORMANCE,
    "EdgeLatencyBurnsSteadily": State.DEGRADED_PERFORMANCE,
}
"""Alerts on the objectives of all requests together. They count where nothing says which component."""

EDGE = tuple(row.name for row in inventory.FORWARDED if row.is_gateway)


def selected(words: Collection[str]) -> list[str]:
    """Return the components that an operator names, in the page's order; ``all`` names all.

    Raises:
        OperatorError: there is no such component.
    """
    if unknown := sorted(set(words) - {*COMPONENTS, "all"}):
        raise OperatorError(
            f"There is no component {unknown[0]}; there are {', '.join(COMPONENTS)}, and `all`."
        )
    return [one for one in COMPONENTS if one in words or "all" in words]


def about(labels: Mapping[str, str]) -> Sequence[str]:
    """Return the components that an alert with these labels is about."""
    name, service = labels.get("alertname", ""), labels.get("service", "")
    if name in EVERYWHERE or name in AT_EDGE or service in EDGE:
        return list(COMPONENTS)
    named = [one.id for one in COMPONENTS.values() if name in one.alerts]
    return named or [one.id for one in COMPONENTS.values() if service in one.services]
