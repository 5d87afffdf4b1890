"""The stack in containers: what its servers find when they start, and whether each component answers.

A container engine keeps the components running, not the supervisor. They share the home's folders, as
volumes, and meet at the same sockets (docs/containers.md, docs/kubernetes.md).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

from chitlaq import inventory
from chitlaq.core.host import files, http_client, programs, unix_sockets
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import POSTGRES_ROLES, Secrets
from chitlaq.core.installation.settings import Settings
from chitlaq.stack import commands
from chitlaq.stack.servers import barman, certificates, nginx, observers, postgres
from chitlaq.stack.supervisor import probes
from chitlaq.stack.supervisor.control import Status
from chitlaq.stack.supervisor.probes import Answer, Probe

CONFIGURE_SECONDS = 60


def mark(home: Home) -> None:
    """Say that containers run this home's components, for all that is said and done from here on."""
    home.run.mkdir(parents=True, exist_ok=True)
    files.ensure(home.containers, "")


def are_used(home: Home) -> bool:
    """Whether containers run this home's components."""
    return home.containers.exists()


def runs_postgres(home: Home, settings: Settings) -> bool:
    """Whether PostgreSQL runs in another container: its process is not to be seen, but its socket is."""
    socket = home.postgres_socket / f".s.PGSQL.{settings.port_of('postgres')}"
    return are_used(home) and unix_sockets.is_served(socket)


def prepare(home: Home, settings: Settings) -> None:
    """Make PostgreSQL's data folder if there is none, and write what the servers' containers read.

    Nothing is made for servers that are external.

    Raises:
        OperatorError: the data folder is gone although there are backups of it; or it cannot be made.
    """
    nginx.prepare(home, settings)
    if settings.embeds("postgres"):
        postgres.prepare(home, settings)
        roles = Secrets(home.secrets)
        lines = [f"*:*:*:{role}:{roles.postgres_password(role)}\n" for role in POSTGRES_ROLES]
        files.ensure(passwords(home), "".join(lines), mode=0o600)
    if barman.is_wanted(settings):
        barman.prepare(home, settings)
    for name in ("node-exporter", "alertmanager", "prometheus"):
        if settings.embeds(name):
            observers.give_key(home, name)
    if settings.embeds("node-exporter"):
        (home.node_exporter / "texts").mkdir(parents=True, exist_ok=True)


def keep_certificate(home: Home, settings: Settings) -> None:
    """Renew nginx's certificate if it is due, and let nginx read what has changed.

    Raises:
        OperatorError: it cannot be renewed; the one in use stays.
    """
    try:
        certificates.renew(home, settings)
    finally:
        found = certificates.read_by_nginx(home, settings)
        if not home.nginx_read.exists() or home.nginx_read.read_text() != found:
            # The first one by ACME is another file.
            command = [sys.executable, "-m", "chitlaq", "config", "nginx", "--write"]
            programs.run(command, timeout_seconds=CONFIGURE_SECONDS).checked()
            files.write(home.nginx_read, found)


def passwords(home: Home) -> Path:
    """Where psql in PostgreSQL's container finds the roles' passwords."""
    return home.postgres_socket / "passwords"


async def statuses(home: Home, settings: Settings) -> list[Status]:
    """Ask each component whether it answers, in display order.

    Restarts, process IDs and times of starts are the engine's to tell, with `docker compose ps`.
    """
    asked = _probes(home, settings)
    answers = await asyncio.gather(*(probe(0) for probe in asked.values()))
    return [
        Status(
            service=name,
            worker=0,
            state="healthy" if answer else "unresponsive",
            pid=None,
            restarts=0,
            uptime=0,
            port=_port(settings, name),
            reason=""
            if answer
            else commands.in_text(f"does not answer: `chitlaq logs {name}`", home),
            is_needed=inventory.COMPONENTS[name].is_needed,
        )
        for name, answer in zip(asked, answers, strict=True)
    ]


def _port(settings: Settings, name: str) -> int | None:
    return settings.port_of(name) if inventory.COMPONENTS[name].port else None


def _probes(home: Home, settings: Settings) -> Mapping[str, Probe]:
    found = {row.name: _service(home.service_socket(row.name, 0)) for row in inventory.SERVICES}
    found["nginx"] = probes.edge(home.nginx_probe)
    if settings.embeds("postgres"):
        found["postgres"] = probes.postgres(home.postgres_socket, settings.port_of("postgres"))
    if settings.embeds("redis") or str(home.redis_socket) in settings.redis_url.reveal():
        found["redis"] = probes.redis(home)
    pages = {"node-exporter": "/", "alertmanager": "/-/ready", "prometheus": "/-/ready"}
    found |= {
        name: probes.observer(home, settings, name, path)
        for name, path in pages.items()
        if settings.embeds(name)
    }
    if settings.embeds("monitoring-proxy"):
        found["monitoring-proxy"] = probes.nginx([settings.port_of("prometheus")])
    return {name: found[name] for name in inventory.COMPONENTS if name in found}


def _service(socket: Path) -> Probe:
    """Ready if it says so: which process answers, is the engine's matter."""

    async def probe(_pid: int) -> Answer:
        answer = await http_client.get(
            "http://localhost/ready", socket=socket, timeout_seconds=probes.PROBE_SECONDS
        )
        return Answer(answer.status == HTTPStatus.OK)

    return probes.bounded(probe)
