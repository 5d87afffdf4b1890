"""Of each disaster the right cause is seen first; whatever it explains is folded, and gone after the mend.

The short form looks at four disasters of a stack without observers. The long one plants all of them on a
stack of its own, and waits for the alerts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import msgspec
import pytest

from chitlaq.core.errors import UnknownResult
from chitlaq.ops.checks import runner
from chitlaq.ops.checks.model import Verdict
from chitlaq.ops.checks.registry import CHECKS
from chitlaq.ops.checks.runner import Run
from chitlaq.ops.routines import checks_of
from tests.conftest import Stack, eventually, start_stack, stop_stack
from tests.disasters.disasters import DISASTERS, Disaster
from tests.disks import small_disk
from tests.observers import fetched
from tests.ops.checks.conftest import system_of

SEVERE = ("P0", "P1", "P2")
SHORT = ("postgres stopped", "table locked", "feed killed in a loop", "valkey stopped")
MORE = ("feed.home", "auth.status", "gateway.api", "gateway.metrics", "backup.archive", "host.disk")
ALERT_SECONDS = 120.0
MEND_SECONDS = 300.0


async def look(stack: Stack) -> Run:
    """Run what an operator runs first, without the load of this machine and what it shows of its speed."""
    checks = [one for one in checks_of("midday") if not one.id.startswith(("host.", "api."))]
    system = system_of(stack, CHITLAQ_CHECKS_ANSWER_SECONDS="20,40")
    try:
        return await runner.run(system, "midday", [*checks, *map(CHECKS.get, MORE)], "a test")  # type: ignore[list-item]
    finally:
        await system.close()


def causes(run: Run) -> set[str]:
    return {one.check for one in run.problems}


async def until_seen(stack: Stack, disaster: Disaster, before: set[str]) -> Run:
    """Look until only the cause is a problem of its own, beside what was one before."""

    async def is_seen() -> Run:
        run = await look(stack)
        new = [one.check for one in run.problems if one.check not in before]
        assert new == [disaster.cause], [
            (one.check, one.verdict, one.summary) for one in run.problems
        ]
        return run

    return await eventually(is_seen)


async def until_mended(stack: Stack, before: set[str]) -> None:
    async def is_mended() -> bool:
        assert causes(await look(stack)) <= before
        return True

    # Nothing is red five minutes after the mend.
    await eventually(is_mended, MEND_SECONDS)


@pytest.fixture
async def well(stack: Stack) -> AsyncIterator[set[str]]:
    """What is a problem before anything is planted: there are no observers."""
    await eventually(lambda: asyncio.to_thread(stack.is_healthy))
    yield causes(await look(stack))
    await eventually(lambda: asyncio.to_thread(stack.is_healthy))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SHORT)
async def test_cause_comes_first_and_leaves_nothing_red(
    stack: Stack, well: set[str], name: str
) -> None:
    disaster = DISASTERS[name]
    async with (disaster.briefly or disaster.plant)(stack):
        run = await until_seen(stack, disaster, well)
        green = [
            one.check
            for one in run.results
            if disaster.blind and one.check.startswith(disaster.blind) and one.verdict is Verdict.OK
        ]
        assert not green, "nothing is green that could not look"
    # A restart is told for some minutes more, for which the long form waits.
    await until_mended(stack, well | {"services.processes"})


@pytest.fixture(scope="module")
def watched() -> Iterator[Stack]:
    """A stack with every component on a disk of its own, which scrapes every five seconds."""
    tools = fetched()
    with small_disk(3000) as disk:
        stack = start_stack(
            CHITLAQ_MONITORING_EMBEDDED="true",
            CHITLAQ_MONITORING_SCRAPE_SECONDS="5",
            CHITLAQ_BACKUPS_ARCHIVE="on",
            CHITLAQ_OPERATIONS_SCHEDULED="true",
            CHITLAQ_LIMITS_ADDRESS_REQUESTS_PER_SECOND="5",
        )
        stack.home.rmdir()
        stack.home = disk / "home"
        stack.home.mkdir()
        stack.environment |= {
            "CHITLAQ_HOME": str(stack.home),
            "CHITLAQ_BACKUPS_FOLDER": str(stack.home / "backups"),
        }
        (stack.home / "packages").symlink_to(tools.packages)
        try:
            stack.up()
            yield stack
        finally:
            stop_stack(stack)


async def firing(stack: Stack, *severities: str) -> set[str]:
    """The alerts that fire and are neither silenced nor explained, as Alertmanager knows them."""
    system = system_of(stack)
    try:
        body = await system.alertmanager.get(
            "/api/v2/alerts?active=true&inhibited=false&silenced=false"
        )
    except UnknownResult as error:
        raise AssertionError(str(error)) from None
    finally:
        await system.close()
    labels = [one["labels"] for one in msgspec.json.decode(body)]
    return {one["alertname"] for one in labels if one["severity"] in (severities or SEVERE)}


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", DISASTERS)
async def test_disaster_alerts_within_two_minutes_and_is_over_five_after_the_mend(
    watched: Stack, name: str
) -> None:
    disaster = DISASTERS[name]

    async def has_begun() -> bool:
        return "Watchdog" in await firing(watched, "none")

    await eventually(has_begun, MEND_SECONDS)
    before, alerting = causes(await look(watched)), await firing(watched)
    planted = time.monotonic()
    async with disaster.plant(watched):

        async def has_fired() -> bool:
            return disaster.alert in await firing(watched)

        await eventually(has_fired, ALERT_SECONDS)
        print(f"{name}: {disaster.alert} after {time.monotonic() - planted:.0f} s")
        if disaster.cause:
            await until_seen(watched, disaster, before)

    async def is_over() -> bool:
        assert await firing(watched) <= alerting
        assert causes(await look(watched)) <= before
        return True

    await eventually(is_over, MEND_SECONDS)
