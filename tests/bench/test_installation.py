"""The installation that is measured: its settings are ones that there are, and it works."""

from __future__ import annotations

import os
import signal

from chitlaq.bench.installation import Installation, installed
from chitlaq.core.installation import settings_loading
from chitlaq.core.installation.home import Home
from tests.conftest import Stack, eventually


async def test_installation_to_measure_takes_its_settings() -> None:
    async with installed() as installation:
        assert installation.environment["CHITLAQ_DEMO"] == "false"


async def test_processes_are_those_of_components_that_work(stack: Stack) -> None:
    home = Home(stack.home)
    installation = Installation(
        home, stack.environment, settings_loading.load(home, stack.environment)
    )
    (before,) = await installation.pids("search-service")
    os.kill(before, signal.SIGKILL)
    await eventually(lambda: stack.ps()["search-service"]["pid"] != before)
    (after,) = await installation.pids("search-service")
    assert after != before
    assert stack.is_healthy()
