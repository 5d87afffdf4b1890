"""The components of an installation, declared once; everything that lists components reads this.

A new service is one row here and a package with ``routes.py`` and ``queries.sql`` (see
CONTRIBUTING.md). This module imports nothing of ChitLaq.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ComponentKind = Literal["server", "task", "service", "archive", "observer"]


@dataclass(frozen=True, slots=True)
class Component:
    """One component of an installation.

    Args:
        name: the runbook's name, as ``chitlaq ps`` shows it.
        kind: a task exits on its own; an observer monitors the others, or offers what these found.
        setting: its field in the settings ``[ports]`` and ``[workers]``. For a service also the
            first word of its checks' ids, and the name of its schema in PostgreSQL if it has one.
        port: the default TCP port; 0 if it has none.
        optional_setting: the same of ``optional_port``.
        optional_port: a second TCP port, which it takes where nothing else has it.
        is_needed: the stack is not up without it.
        is_for_members: requests of members reach it.
        scrape_job: the job under which Prometheus scrapes it; for a service its name.
        package: where a service's ``routes.py`` and ``queries.sql`` are.
        role: a service's role in PostgreSQL.
        title: a service's title in its API documentation.
        workers: the default number of a service's processes; 0: always one, without a setting.
        keeps_member_data: a service that stores something of members: it exports and erases it.
        is_gateway: nginx listens on this service's port, and its access log has every request.
    """

    name: str
    kind: ComponentKind
    setting: str = ""
    port: int = 0
    optional_setting: str = ""
    optional_port: int = 0
    is_needed: bool = True
    is_for_members: bool = False
    scrape_job: str = ""
    package: str = ""
    role: str = ""
    title: str = ""
    workers: int = 0
    keeps_member_data: bool = False
    is_gateway: bool = False

    @property
    def job(self) -> str:
        """The Prometheus job, or an empty string if it exports no metrics."""
        return self.scrape_job or (self.name if self.kind == "service" else "")


@dataclass(frozen=True, slots=True)
class Port:
    """A TCP port: the component that listens on it, its field in the settings ``[ports]``, its default."""

    component: Component
    setting: str
    number: int


_ROWS = (
    Component("postgres", "server", "postgres", 5432),
    Component("redis", "server", "redis", 6379),
    Component("migrate", "task"),
    Component(
        "auth-service", "service", "auth", 3005, is_for_members=True, workers=1,
        package="chitlaq.services.auth", role="chitlaq_auth",
        title="ChitLaq accounts", keeps_member_data=True,
    ),
    Component(
        "feed-service", "service", "feed", 3003, is_for_members=True, workers=1,
        package="chitlaq.services.feed", role="chitlaq_feed",
        title="ChitLaq members, posts and feeds", keeps_member_data=True,
    ),
    Component(
        "search-service", "service", "search", 3004, is_for_members=True, workers=1,
        package="chitlaq.services.search", role="chitlaq_search",
        title="ChitLaq search", keeps_member_data=True,
    ),
    Component(
        "websocket", "service", "websocket", 3002, is_for_members=True, workers=1,
        package="chitlaq.services.websocket", role="chitlaq_websocket",
        title="ChitLaq in real time", keeps_member_data=True,
    ),
    Component(
        "api-gateway", "service", "gateway", 3001, is_for_members=True, workers=1, is_gateway=True,
        package="chitlaq.services.gateway", role="chitlaq_gateway",
        title="ChitLaq gateway",
    ),
    Component(
        "ops-service", "service", "ops", 3006,
        # The runbook's address of Grafana: without one, the console with its dashboards.
        optional_setting="console", optional_port=3000,
        package="chitlaq.ops", role="chitlaq_ops",
        title="ChitLaq operations",
    ),
    Component("nginx", "server", "edge", 8080, is_for_members=True,
        # The same over TLS.
        optional_setting="edge_tls", optional_port=8443,
    ),
    Component("wal-archive", "archive", is_needed=False),
    Component("monitoring-proxy", "observer", is_needed=False),
    Component(
        "node-exporter", "observer", "node_exporter", 9100, is_needed=False, scrape_job="node"
    ),
    Component(
        "alertmanager", "observer", "alertmanager", 9093, is_needed=False,
        scrape_job="alertmanager",
    ),
    Component(
        "prometheus", "observer", "prometheus", 9090, is_needed=False, scrape_job="prometheus"
    ),
)  # fmt: skip

COMPONENTS: Mapping[str, Component] = {row.name: row for row in _ROWS}
"""All components by name, in the order in which ``chitlaq ps`` shows them."""

BY_PORT = tuple(sorted((row for row in _ROWS if row.port), key=lambda row: row.port))
"""The components that have a port, in the order of their default ports, which are the runbook's."""

PORTS = tuple(
    sorted(
        [Port(row, row.setting, row.port) for row in BY_PORT]
        + [
            Port(row, row.optional_setting, row.optional_port)
            for row in BY_PORT
            if row.optional_port
        ],
        key=lambda port: port.number,
    )
)

SERVICES = tuple(row for row in BY_PORT if row.kind == "service")
FORWARDED = tuple(row for row in SERVICES if row.is_for_members)
"""The services that members reach through nginx."""

SERVERS = tuple(row for row in _ROWS if row.kind == "server")
OBSERVERS = tuple(row for row in BY_PORT if row.kind == "observer")
"""Those that observe; monitoring-proxy offers their ports to operators."""
OBSERVERS_ADDRESS = "127.0.0.2"
"""Where they themselves listen. All of 127.0.0.0/8 is loopback on Linux."""
ARCHIVE = "wal-archive"
