"""nginx as the stack starts it, without anything behind it."""

from __future__ import annotations

import json
import os
import resource
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from chitlaq import inventory
from chitlaq.cli.serve import load
from chitlaq.core.http import routes
from chitlaq.core.installation import secrets
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Ports, RateLimits, Settings
from chitlaq.services.gateway import nginx as configuration
from chitlaq.services.gateway.nginx import Tls
from chitlaq.stack.install import users
from chitlaq.stack.servers import nginx
from chitlaq.stack.supervisor import probes
from tests.conftest import eventually, free_ports
from tests.services.gateway.raw_http import ask

PER_ADDRESS = 40
# Few slots for nginx, so that a test can fill them.
OPEN_FILES = 1_280

PROXY = "127.0.0.9"


@dataclass
class Edge:
    """nginx as the stack starts it, without services behind it."""

    home: Home
    port: int

    def start(self) -> subprocess.Popen[bytes]:
        nginx.prepare(self.home, Settings())
        log = (self.home.logs / "nginx.log").open("ab")
        command = nginx.command(self.home, Settings(), self.home.nginx)
        return subprocess.Popen(command, stderr=log, start_new_session=True)

    async def serves(self, source: str) -> bool:
        try:
            return (await ask(self.port, "/", source=source)).status == 503  # nothing is behind it
        except (OSError, IndexError):
            return False  # refused, or closed without an answer

    async def is_alive(self) -> bool:
        return bool(await probes.edge(self.home.nginx_probe)(0))

    def refused(self) -> list[tuple[str, str]]:
        lines = map(json.loads, self.home.access_log.read_text(errors="replace").splitlines())
        return [(line["limit"], line["remote_addr"]) for line in lines if line["limit"]]


@asynccontextmanager
async def running(home: Home, settings: Settings, tls: Tls | None = None) -> AsyncIterator[Edge]:
    """Run nginx with these settings in a home that is empty yet."""
    for one in (home.run, home.logs):
        one.mkdir()
    # Of an nginx that root starts, the workers must enter the folder of the sockets.
    user = users.service_user()
    name = user.pw_name if user else None
    declared = {row.name: routes.for_members(load(row)) for row in inventory.SERVICES}
    modules = nginx.modules(nginx.program(home, settings).path)
    text = configuration.render(home, settings, declared, name, modules, tls)
    configuration.write(home, text, declared, secrets.ensure(home).edge_key)
    nginx.prepare(home, settings)
    if user is not None:
        os.chown(home.nginx_sockets, user.pw_uid, user.pw_gid)
    lone = Edge(home, settings.port_of("nginx"))
    process = lone.start()
    try:
        await eventually(lone.is_alive)
        yield lone
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture
async def lone_edge(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Edge]:
    edge_port, gateway_port = free_ports(2)
    settings = Settings(
        ports=Ports(edge=edge_port, gateway=gateway_port),
        limits=RateLimits(address_connections=PER_ADDRESS),
        trusted_proxies=(PROXY,),
    )
    monkeypatch.setattr(resource, "prlimit", lambda *_: (OPEN_FILES, OPEN_FILES))
    async with running(Home(tmp_path_factory.mktemp("edge")), settings) as lone:
        monkeypatch.undo()
        yield lone
