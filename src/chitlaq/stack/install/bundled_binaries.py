"""Where the Python packages that contain the servers' programs are installed."""

from __future__ import annotations

import platform
from importlib.util import find_spec
from pathlib import Path

from chitlaq.core.errors import OperatorError


def folder(package: str) -> Path:
    """Return a package's folder without importing it; only its files are used.

    Raises:
        OperatorError: it is not installed.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise OperatorError(f"The package {package} is not installed: run `make up` again.")
    return Path(spec.origin).parent


def platform_name() -> str:
    """This platform as the packages name it: ``linux-x86_64``, ``linux-aarch64``."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower())
    return f"{platform.system().lower()}-{machine or platform.machine().lower()}"
