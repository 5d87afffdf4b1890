"""ops-service keeps the page true, whatever else is down."""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Ports, Settings
from chitlaq.ops.database import database as operations
from chitlaq.ops.database.database import OpsDatabase, statement
from chitlaq.ops.statuspage import hysteresis, measuring
from chitlaq.ops.statuspage.components import COMPONENTS, State
from chitlaq.ops.statuspage.keeper import Keeper
from tests.conftest import PORTS, Stack, eventually, free_ports
from tests.lone_service import lone_service


def nothing_listens() -> Settings:
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    return Settings(ports=Ports(**ports))


def summary(folder: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((folder / "status.json").read_text())
    return said


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two turns at once are two measurements of half a minute."""
    monkeypatch.setattr(hysteresis, "WORSE_AFTER", timedelta())


async def test_page_says_that_everything_is_down(
    home: Home, database: OpsDatabase, no_waiting: None
) -> None:
    """Attacks the promise that the page is written without PostgreSQL, Valkey, nginx and Prometheus."""
    kept = Keeper(home, nothing_listens(), database)
    for _ in range(2):
        await kept.turn()
    said = summary(home.status_page)
    assert said["status"]["indicator"] == "critical"
    assert {one["status"] for one in said["components"]} == {"major_outage"}
    days = await database.rows("component_days", f"{datetime.now(UTC).date()}")
    assert len({row["component"] for row in days}) == len(COMPONENTS)


async def test_new_process_goes_on_with_what_was_shown(home: Home, database: OpsDatabase) -> None:
    await database.write(
        *(
            statement("keep_component_state", name, State.PARTIAL_OUTAGE, datetime.now(UTC))
            for name in COMPONENTS
        )
    )
    await Keeper(home, nothing_listens(), database).turn()
    assert {one["status"] for one in summary(home.status_page)["components"]} == {"partial_outage"}


async def test_database_that_cannot_be_read_leaves_the_page_to_grow_old(
    home: Home, database: OpsDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than a page that calls good what nobody could look at."""
    kept = Keeper(home, nothing_listens(), database)
    await kept.turn()
    before = (home.status_page / "status.json").read_bytes()

    async def unavailable(*_: object) -> None:
        raise operations.OpsDatabaseUnavailableError("The disk is gone.")

    monkeypatch.setattr(OpsDatabase, "rows", unavailable)
    with pytest.raises(operations.OpsDatabaseUnavailableError):
        await kept.turn()
    assert (home.status_page / "status.json").read_bytes() == before


@pytest.mark.long
async def test_copy_elsewhere_tells_when_everything_is_down(tmp_path: Path) -> None:
    """ops-service alone, for the minute that it takes: the short form is the first test."""
    copy = tmp_path / "copy"
    with lone_service("ops-service", "ops", CHITLAQ_STATUSPAGE_COPY_TO=str(copy)):

        def is_told() -> bool:
            return bool(summary(copy)["status"]["indicator"] == "critical")

        await eventually(is_told, seconds=120)


async def test_frozen_service_is_an_outage_of_its_component_only(stack: Stack) -> None:
    settings = Settings(ports=Ports(**stack.ports))

    async def bad() -> dict[str, State]:
        found = await measuring.measured(Home(stack.home), settings, [])
        return {name: state for name, state in found.items() if state is not State.OPERATIONAL}

    async def is_well() -> bool:
        return not await bad()

    await eventually(is_well)
    process = stack.ps()["search-service"]["pid"]
    os.kill(process, signal.SIGSTOP)
    try:
        assert await bad() == {"search": State.MAJOR_OUTAGE}
    finally:
        os.kill(process, signal.SIGCONT)
    await eventually(is_well)
