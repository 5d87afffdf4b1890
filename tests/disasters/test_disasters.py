"""Of each disaster the right cause is seen first; whatever it explains is folded, and gone after the mend.

The short form looks at four disasters of a stack without observers. The long one plants all of them, one
after the other, on a stack of its own, waits for the alerts, and prints how long each took.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import httpx
import msgspec
import pytest

from chitlaq.core.errors import UnknownResult
from chitlaq.monitoring.alerts import registry
from chitlaq.ops.checks import runner
from chitlaq.ops.checks.model import Verdict
from chitlaq.ops.checks.registry import CHECKS
from chitlaq.ops.checks.runner import Run
from chitlaq.ops.routines import checks_of
from tests.conftest import Stack, eventually, free_ports, start_stack, stop_stack
from tests.disasters import outside
from tests.disasters.disasters import DISASTERS, Disaster, table_locked
from tests.disks import real_disk
from tests.observers import fetched
from tests.ops.checks.conftest import status_of, system_of

SEVERE = ("P0", "P1", "P2")
SHORT = (
    "postgres stopped",
    "table locked",
    "queue locked",
    "feed killed in a loop",
    "valkey stopped",
)
MORE = (
    "feed.home", "auth.status", "gateway.api", "gateway.metrics", "backup.archive", "backup.database",
    "host.disk",
)  # fmt: skip
ON_A_STACK_OF_ITS_OWN = (*MORE, "media.store", "host.disk_sync")
UNCOUNTED = ("host.", "api.")
"""What this machine's load and speed show in."""
CAUSE_SECONDS = 15.0
ALERT_SECONDS = 120.0
MEND_SECONDS = 300.0
SLOW_ANSWERS = "1,40"
"""From how many seconds on an answer is slow where slowness is what is planted."""


async def look(stack: Stack, answer_seconds: str = "20,40", more: Sequence[str] = MORE) -> Run:
    """Run what an operator runs first, without the load of this machine and what it shows of its speed."""
    checks = [one for one in checks_of("midday") if not one.id.startswith(UNCOUNTED)]
    system = system_of(
        stack,
        CHITLAQ_CHECKS_ANSWER_SECONDS=answer_seconds,
        CHITLAQ_CHECKS_DISK_SYNC_SECONDS="0.9,1",
    )
    try:
        return await runner.run(system, "midday", [*checks, *map(CHECKS.get, more)], "a test")  # type: ignore[list-item]
    finally:
        await system.close()


def causes(run: Run) -> set[str]:
    return {one.check for one in run.problems}


def new_problems(run: Run, before: set[str]) -> list[str]:
    return [one.check for one in run.problems if one.check not in before]


def unseen_and_green(run: Run, disaster: Disaster) -> list[str]:
    """Checks that are green although they could not see what they look at."""
    return [
        one.check
        for one in run.results
        if disaster.blind and one.check.startswith(disaster.blind) and one.verdict is Verdict.OK
    ]


async def until_seen(stack: Stack, disaster: Disaster, before: set[str]) -> Run:
    """Look until only the cause is a problem of its own, beside what was one before."""

    async def is_seen() -> Run:
        run = await look(stack)
        new = new_problems(run, before)
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


look_closely = partial(look, answer_seconds=SLOW_ANSWERS, more=ON_A_STACK_OF_ITS_OWN)


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
        green = unseen_and_green(run, disaster)
        assert not green, "nothing is green that could not look"
    # A restart is told for some minutes more, for which the long form waits.
    await until_mended(stack, well | {"services.processes"})


@pytest.mark.parametrize("name", DISASTERS)
def test_alert_of_a_disaster_waits_no_longer_than_it_may(name: str) -> None:
    """The long form sees it fire in time; this one sees what would make it late, at no cost."""
    wanted = DISASTERS[name].alert
    for one in (wanted,) if isinstance(wanted, str) else wanted:
        (waits,) = {alert.for_ for alert in registry.alerts() if alert.name == one}
        assert waits in {"0m", "30s", "1m"}, "a scrape, two evaluations and the way take the rest"


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "schema", ["auth", "feed", "health", "jobs", "mail", "search", "websocket"]
)
async def test_whichever_table_is_locked_who_holds_it_comes_first(
    stack: Stack, well: set[str], schema: str
) -> None:
    tables = await stack.sql(
        "SELECT c.oid::regclass::text AS name FROM pg_class c"
        " WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition"
        " AND c.relnamespace::regnamespace::text = $1 ORDER BY 1",
        schema,
    )
    assert tables
    for table in tables:
        async with table_locked(stack, table["name"]):
            run = await until_seen(stack, DISASTERS["table locked"], well)
        said = next(one.summary for one in run.problems if one.check == "database.locks")
        assert table["name"] in said
    await until_mended(stack, well)


async def test_damaged_configuration_of_nginx_is_written_anew_at_each_start_and_reload(
    stack: Stack, well: set[str]
) -> None:
    """Whatever reads it is written it first, so nothing waits there for the next restart."""
    path = stack.home / "nginx" / "nginx.conf"
    whole = path.read_bytes()

    async def is_served() -> bool:
        async with httpx.AsyncClient() as client:
            return (await client.get(f"{stack.edge}/api/auth/status")).status_code == 200

    for damage in (b"", b"\x00garbage {", whole[: len(whole) // 2]):
        path.write_bytes(damage)
        done = await asyncio.to_thread(stack.command, "restart", "nginx")
        assert done.returncode == 0, done.stdout + done.stderr
        assert path.read_bytes() == whole
        path.write_bytes(damage)
        pid = status_of(stack, "nginx").pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: path.read_bytes() == whole)
        await eventually(is_served)


@pytest.fixture(scope="module")
def watched() -> Iterator[Stack]:
    """A stack with every component on a disk of its own, which scrapes every five seconds."""
    tools = fetched()
    with real_disk(3000) as disk:
        stack = start_stack(
            disk / "home",
            CHITLAQ_MONITORING_EMBEDDED="true",
            CHITLAQ_MONITORING_SCRAPE_SECONDS="5",
            CHITLAQ_BACKUPS_ARCHIVE="on",
            CHITLAQ_OPERATIONS_SCHEDULED="true",
            CHITLAQ_LIMITS_ADDRESS_REQUESTS_PER_SECOND="5",
        )
        (smtp_port,) = free_ports(1)
        stack.environment |= outside.settings(disk, stack.ports["edge_tls"], smtp_port)
        outside.write_certificate(stack, 60, 60)
        mail_server = outside.mail_server(str(smtp_port))
        mail_server.take()
        (stack.home / "packages").symlink_to(tools.packages)
        try:
            stack.up()
            yield stack
        finally:
            mail_server.close()
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
    return {
        one["alertname"]
        for one in labels
        # Over hours the error budget remembers the disasters before, which one stack shares.
        if one["severity"] in (severities or SEVERE)
        and not one["alertname"].endswith(("BurnsSteadily", "BurnsSlowly"))
    }


@dataclass
class Told:
    """How long after it was planted a disaster was seen, and after the mend everything was well."""

    name: str
    cause: float | None = None
    alert: float | None = None
    over: float | None = None
    first: tuple[str, ...] = ()
    """What was seen before the cause."""

    def __str__(self) -> str:
        figures = (
            "-" if one is None else f"{one:.0f}" for one in (self.cause, self.alert, self.over)
        )
        columns = " ".join(f"{one:>7}" for one in figures)
        return f"{self.name:28} {columns}  {', '.join(self.first)}"


@pytest.fixture(scope="module")
def told() -> Iterator[list[Told]]:
    """What each disaster showed; printed as a table at the end."""
    told: list[Told] = []
    yield told
    head = f"{'disaster':28} {'cause':>7} {'alert':>7} {'green':>7}  seen before the cause"
    print("", head, *told, sep="\n")


async def until_cause(stack: Stack, disaster: Disaster, before: set[str], told: Told) -> None:
    """Look until the cause is what an operator reads first."""
    planted = time.monotonic()

    async def is_first() -> bool:
        new = new_problems(run := await look_closely(stack), before)
        if new[:1] == [disaster.cause]:
            told.cause = told.cause or time.monotonic() - planted
            assert not (green := unseen_and_green(run, disaster)), f"{green} are green"
            return True
        told.first = tuple(dict.fromkeys((*told.first, *new[:1])))
        raise AssertionError(new)

    await eventually(is_first)


async def until_alert(stack: Stack, disaster: Disaster, told: Told) -> None:
    planted = time.monotonic()
    wanted = {disaster.alert} if isinstance(disaster.alert, str) else set(disaster.alert)

    async def has_fired() -> bool:
        return bool(wanted & await firing(stack))

    await eventually(has_fired, ALERT_SECONDS)
    told.alert = time.monotonic() - planted


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", DISASTERS)
async def test_disaster_alerts_within_two_minutes_and_is_over_five_after_the_mend(
    watched: Stack, told: list[Told], name: str
) -> None:
    disaster, row = DISASTERS[name], Told(name)
    told.append(row)

    async def is_well() -> bool:
        assert "Watchdog" in await firing(watched, "none")
        return await asyncio.to_thread(watched.is_healthy)

    await eventually(is_well, MEND_SECONDS)
    before, alerting = causes(await look_closely(watched)), await firing(watched)
    seen = [until_alert(watched, disaster, row)]
    if disaster.cause:
        seen.append(until_cause(watched, disaster, before, row))
    async with disaster.plant(watched):
        # One that is not seen does not end the search for the other.
        missed = [
            (one, one.__cause__)
            for one in await asyncio.gather(*seen, return_exceptions=True)
            if isinstance(one, BaseException)
        ]
    mended = time.monotonic()

    async def is_over() -> bool:
        still = await firing(watched) - alerting
        assert not still, f"{still} fire"
        run = await look_closely(watched)
        # Alerts are judged above, without those of the error budget.
        new = [
            (one.check, one.summary)
            for one in run.problems
            if one.check not in before | {"alerts.active"}
        ]
        assert not new, f"{new} are problems"
        return True

    print(row, missed)
    await eventually(is_over, MEND_SECONDS)
    row.over = time.monotonic() - mended
    print(row)
    assert not missed, missed
    assert row.cause is None or row.cause <= CAUSE_SECONDS
