"""Prometheus's own tools, fetched once for all tests of this machine's user."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from chitlaq.core.errors import MissingProgramError
from chitlaq.core.home import Home
from chitlaq.stack import monitoring


def tool(name: str) -> str:
    home = Home(Path(tempfile.gettempdir()) / f"chitlaq-tools-{os.getuid()}")
    try:
        monitoring.fetch(home)
    except MissingProgramError as missing:
        pytest.skip(str(missing))
    return str(monitoring.program(home, name))


@pytest.fixture(scope="session")
def promtool() -> str:
    return tool("promtool")


@pytest.fixture(scope="session")
def amtool() -> str:
    return tool("amtool")
