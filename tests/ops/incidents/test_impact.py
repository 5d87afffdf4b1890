"""What an incident did to members, as nginx's access log has it."""

from __future__ import annotations

import asyncio
import gzip
import os
import re
import signal
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Logs, Settings
from chitlaq.logs import failures
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.incidents import impact, incidents
from tests.conftest import Member, Stack, eventually
from tests.ops.checks.planted_logs import access, plant

Join = Callable[..., Awaitable[Member]]
Ago = Callable[[float], datetime]
MINUTE = timedelta(minutes=1)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "logs").mkdir()
    return Home(tmp_path)


@pytest.fixture
def minutes_ago() -> Ago:
    """Counts from the minute in which the test begins."""
    begun = datetime.now(UTC).replace(second=0, microsecond=0)
    return lambda number: begun - number * MINUTE


def line(at: datetime, status: int = 200, account: str = "", route: str = "/api/feed/home") -> str:
    return access("10.0.0.1", status, time=at.isoformat(), failed_account=account, route=route)


async def opened(database: OpsDatabase) -> int:
    return (await incidents.open_by_hand(database, "It burns", "P1", "ada")).id


async def test_impact_is_from_the_first_to_the_last_minute_with_failures(
    home: Home, database: OpsDatabase, minutes_ago: Ago
) -> None:
    lines = [line(minutes_ago(10 - n / 10)) for n in range(70)]
    # From 8 to 5 minutes ago; and one of many requests failed earlier, as always.
    for n in range(30):
        at = minutes_ago(8 - n / 10)
        lines.append(line(at, 503, f"m{n % 4}", route="/api/posts"))
    quiet = [line(minutes_ago(12), 502 if n == 0 else 200, "other") for n in range(200)]
    plant(home, "nginx-access.log", *sorted([*quiet, *lines]))
    number = await opened(database)
    found = await impact.of(database, home, Settings(), number)
    assert (found.began_at, found.ended_at) == (minutes_ago(8), minutes_ago(5))
    assert (found.failed, found.requests, found.members) == (30, 60, 4)
    assert [(one.route, one.failed) for one in found.routes] == [("/api/posts", 30)]
    assert "50 % of 60 requests failed, 4 members affected" in impact.said(found)


async def test_outage_of_what_is_seldom_asked_for_is_not_lost_among_other_requests(
    home: Home, database: OpsDatabase, minutes_ago: Ago
) -> None:
    others = [line(minutes_ago(3)) for _ in range(500)]
    plant(home, "nginx-access.log", *others, line(minutes_ago(3), 503, "m1", "/api/search/users"))
    found = await impact.of(database, home, Settings(), await opened(database))
    assert (found.failed, found.members, found.began_at) == (1, 1, minutes_ago(3))


async def test_outage_that_goes_on_has_no_end(
    home: Home, database: OpsDatabase, minutes_ago: Ago
) -> None:
    plant(home, "nginx-access.log", *(line(minutes_ago(2 - n), 503) for n in range(3)))
    found = await impact.of(database, home, Settings(), await opened(database))
    assert found.ended_at is None
    assert "until now" in impact.said(found)


async def test_nginx_that_was_down_is_a_silence(
    home: Home, database: OpsDatabase, minutes_ago: Ago
) -> None:
    plant(home, "nginx-access.log", line(minutes_ago(14)), line(minutes_ago(3)))
    found = await impact.of(database, home, Settings(), await opened(database))
    assert found.silence_seconds == 600
    assert "nothing arrived at all for 10 min" in impact.said(found)


async def test_where_nobody_gets_through_nobody_is_called_unharmed(
    home: Home, database: OpsDatabase, minutes_ago: Ago
) -> None:
    plant(home, "nginx-access.log", line(minutes_ago(4)), line(minutes_ago(2)))
    number = await opened(database)
    said = impact.said(await impact.of(database, home, Settings(), number))
    assert said.startswith("not known, because no request has arrived since")
    plant(home, "nginx-access.log", line(minutes_ago(4)), line(minutes_ago(0)))
    found = await impact.of(database, home, Settings(), number)
    assert impact.said(found).startswith("not measured yet")
    since = minutes_ago(2) - impact.BEFORE
    read = failures.failures(home, since, minutes_ago(0), 1)
    assert impact.said(impact.measured(read, since, minutes_ago(0), is_over=False)).startswith(
        "no request failed"
    )


async def test_impact_that_cannot_be_seen_is_not_called_none(
    home: Home, database: OpsDatabase
) -> None:
    number = await opened(database)
    assert impact.said(await impact.of(database, home, Settings(), number)).startswith("not known")


async def test_impact_is_kept_once_it_is_over_and_the_log_is_gone(
    home: Home, database: OpsDatabase, minutes_ago: Ago
) -> None:
    plant(home, "nginx-access.log", *(line(minutes_ago(3), 503, "m1") for _ in range(5)))
    number = await opened(database)
    await incidents.resolve(database, number, "ada")
    await impact.store(database, home, Settings())
    home.access_log.unlink()
    assert (await impact.of(database, home, Settings(), number)).failed == 5
    plant(home, "nginx-access.log", *(line(minutes_ago(1), 503, "m2") for _ in range(7)))
    await incidents.reopen(database, number, "ada")
    assert (await impact.of(database, home, Settings(), number)).failed == 7, "counted anew"


async def test_rotated_files_are_counted_too(
    home: Home, database: OpsDatabase, minutes_ago: Ago
) -> None:
    for name, number in (("nginx-access.log", 0), ("nginx-access.log.1", 2)):
        plant(home, name, line(minutes_ago(number), 500))
    packed = home.logs / "nginx-access.log.2.gz"
    packed.write_bytes(gzip.compress(f"{line(minutes_ago(3), 500)}\n".encode()))
    found = await impact.of(database, home, Settings(), await opened(database))
    assert (found.failed, found.reach) == (3, "")
    cut = Settings(logs=Logs(keep_files=1))
    found = await impact.of(database, home, cut, await opened(database))
    assert "earlier lines" in found.reach


async def test_lines_that_cannot_be_read_are_no_silence_of_members(
    home: Home, database: OpsDatabase, minutes_ago: Ago
) -> None:
    plant(home, "nginx-access.log", line(minutes_ago(3), 500), *["10.0.0.1 - - GET /"] * 7)
    found = await impact.of(database, home, Settings(), await opened(database))
    assert found.failed == 1
    assert "7 lines of the access log cannot be read" in found.reach


async def test_outage_of_a_service_names_its_routes_members_and_restart(
    stack: Stack, join: Join
) -> None:
    member = await join()
    pid = (await asyncio.to_thread(stack.ps))["search-service"]["pid"]
    os.kill(pid, signal.SIGKILL)

    async def is_refused() -> bool:
        answer = await member.get("/api/search/users?q=anyone")
        return answer.status_code == 503

    await eventually(is_refused)
    opened = await asyncio.to_thread(
        stack.json, "incidents", "open", "Search is down", "--severity", "P3"
    )

    async def shown() -> dict[str, Any] | None:
        found = await asyncio.to_thread(stack.json, "incidents", "show", str(opened["id"]))
        restarts = [one["text"] for one in found["timeline"] if one["kind"] == "restart"]
        is_seen = any("search-service" in text for text in restarts)
        return dict(found) if is_seen and found["impact"]["members"] else None

    found = await eventually(shown)
    routes = {one["route"]: one for one in found["impact"]["routes"]}
    assert routes["/api/search/users"]["failed"] >= 1
    page = await asyncio.to_thread(stack.command, "incidents", "postmortem", str(opened["id"]))
    assert re.search(r"\| /api/search/users \| \d+ \| \d+ \(", page.stdout)
    assert re.search(r"Members with a failed request: [1-9]", page.stdout)
    await eventually(lambda: asyncio.to_thread(stack.is_healthy))
