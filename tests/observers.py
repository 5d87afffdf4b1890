"""Prometheus's own tools, fetched once for all tests of this machine's user; and an Alertmanager."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from chitlaq.core.errors import MissingProgramError
from chitlaq.core.installation.home import Home
from chitlaq.monitoring.alerts import routing
from chitlaq.stack.servers import observers
from tests.conftest import eventually, free_ports


def tool(name: str) -> str:
    home = Home(Path(tempfile.gettempdir()) / f"chitlaq-tools-{os.getuid()}")
    try:
        observers.fetch(home)
    except MissingProgramError as missing:
        pytest.skip(str(missing))
    return str(observers.program(home, name))


@pytest.fixture(scope="session")
def promtool() -> str:
    return tool("promtool")


@pytest.fixture(scope="session")
def amtool() -> str:
    return tool("amtool")


@pytest.fixture
async def alertmanager(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """An Alertmanager with our routes and inhibitions, whose reports reach nobody."""
    port, nobody = free_ports(2)
    token = tmp_path / "token"
    token.write_text("none")
    config = tmp_path / "alertmanager.yml"
    config.write_bytes(routing.alertmanager_config(f"http://127.0.0.1:{nobody}/alerts", str(token)))
    program = Path(tool("alertmanager"))
    process = subprocess.Popen(
        [
            program,
            f"--config.file={config}",
            f"--storage.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ],
        # The unpacked copy looks for its own files from there (stack/servers/observers.py).
        cwd=program.parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:

            async def is_ready() -> bool:
                return (await client.get("/-/ready")).status_code == 200

            await eventually(is_ready)
            yield client
    finally:
        process.kill()
        process.wait()
