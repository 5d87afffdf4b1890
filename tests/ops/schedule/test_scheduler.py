"""Routines run once when due: across daylight saving, downtime, several processes, a full disk."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chitlaq.core.data.postgres import Database as PostgresDatabase
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation import settings_forms
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Operations
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.schedule import scheduler
from chitlaq.ops.schedule.scheduler import Recurrence, Scheduler, last_due, next_due, parse
from tests.conftest import Stack, eventually

VIENNA = ZoneInfo("Europe/Vienna")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=VIENNA)


@pytest.mark.parametrize(
    ("rule", "now", "due"),
    [
        ("09:00", "2026-11-23 09:00", "2026-11-23 09:00"),
        ("09:00", "2026-11-23 08:59", "2026-11-22 09:00"),
        ("mon 10:00", "2026-11-25 12:00", "2026-11-23 10:00"),
        ("mon 10:00", "2026-11-23 09:59", "2026-11-16 10:00"),
        ("1 10:30", "2026-11-23 12:00", "2026-11-01 10:30"),
        ("28 00:00", "2026-03-01 12:00", "2026-02-28 00:00"),
        # Daylight saving begins at 02:00, which becomes 03:00, and ends at 03:00, which becomes 02:00.
        ("09:00", "2026-03-29 09:00", "2026-03-29 09:00"),
        ("09:00", "2026-10-25 08:59", "2026-10-24 09:00"),
        ("02:30", "2026-03-29 03:29", "2026-03-28 02:30"),
        ("02:30", "2026-03-29 03:30", "2026-03-29 03:30"),
    ],
)
def test_due_moment_is_the_local_one(rule: str, now: str, due: str) -> None:
    assert last_due(parse("morning", rule), at(now), VIENNA) == at(due)


def test_repeated_hour_is_due_once() -> None:
    rule = parse("morning", "02:30")
    first = at("2026-10-25 02:30")
    again = first.replace(fold=1)
    assert again.astimezone(UTC) - first.astimezone(UTC) == timedelta(hours=1)
    assert last_due(rule, first, VIENNA) == first.astimezone(UTC)
    assert last_due(rule, again, VIENNA) == first.astimezone(UTC)


RULES = st.builds(
    Recurrence,
    st.just("morning"),
    st.times().map(lambda time: time.replace(second=0, microsecond=0)),
    weekday=st.none() | st.integers(0, 6),
)


@given(
    rule=RULES,
    now=st.integers(1_735_689_600, 1_893_456_000).map(lambda at: datetime.fromtimestamp(at, UTC)),
    zone=st.sampled_from(
        ["Europe/Vienna", "UTC", "America/St_Johns", "Pacific/Apia", "Asia/Kathmandu"]
    ),
)
def test_routine_is_due_once_per_period(rule: Recurrence, now: datetime, zone: str) -> None:
    where = ZoneInfo(zone)
    due = last_due(rule, now, where)
    period = timedelta(days=1 if rule.weekday is None else 7)
    assert due <= now < due + period + timedelta(hours=2)
    before = last_due(rule, due - timedelta(microseconds=1), where)
    later = next_due(rule, now, where)
    assert later > now
    assert last_due(rule, later, where) == later
    assert last_due(rule, later - timedelta(microseconds=1), where) == due
    dates = [moment.astimezone(where).date() for moment in (before, due)]
    assert dates[1] - dates[0] == timedelta(days=period.days)


@pytest.mark.parametrize(
    "text", ["", "9:00", "25:00", "moon 10:00", "0 10:00", "29 10:00", "mon", "x"]
)
def test_invalid_time_is_refused_naming_the_setting(text: str) -> None:
    with pytest.raises(OperatorError, match=r"operations\.weekly"):
        parse("weekly", text)


def test_unknown_time_zone_is_refused() -> None:
    with pytest.raises(OperatorError, match="not a time zone"):
        scheduler.zone(Operations(timezone="Europe/Atlantis"))


NOBODY = PostgresDatabase("postgresql://x:y@127.0.0.1:1/chitlaq", "test", {})


class Site:
    """A scheduler that counts its runs, on a machine and at a time that the test controls."""

    def __init__(self, database: OpsDatabase, folder: Path, now: datetime) -> None:
        self.now = now
        self.home = Home(folder)
        self.ran: list[str] = []
        self.succeeds = True
        self._database = database
        self.begin_again()

    def begin_again(self) -> None:
        """Act as another process."""
        self.scheduler = self.running(self.run)

    def running(self, run: Callable[[Home, str], Awaitable[bool]]) -> Scheduler:
        return Scheduler(
            self.home, Operations(timezone="UTC"), self._database, NOBODY, run, lambda: self.now
        )

    async def run(self, _home: Home, routine: str) -> bool:
        self.ran.append(routine)
        await asyncio.sleep(0)
        return self.succeeds


@pytest.fixture
def database(tmp_path: Path) -> Iterator[OpsDatabase]:
    with OpsDatabase(Home(tmp_path)) as database:
        yield database


@pytest.fixture
def rule() -> Recurrence:
    return parse("morning", "09:00")


NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


async def test_new_installation_does_not_catch_up_on_earlier_runs(
    database: OpsDatabase, rule: Recurrence, tmp_path: Path
) -> None:
    site = Site(database, tmp_path, NOON)
    assert not await site.scheduler.run_if_due(rule)
    assert site.ran == []
    site.now += timedelta(days=1)
    assert await site.scheduler.run_if_due(rule)
    assert site.ran == [rule.routine]


async def settled(database: OpsDatabase, rule: Recurrence, folder: Path) -> Site:
    """An installation whose routine was first due yesterday."""
    site = Site(database, folder, NOON)
    await site.scheduler.run_if_due(rule)
    site.now += timedelta(days=1)
    return site


def long_after(site: Site) -> None:
    """Let more time pass than a run may take; this process's memory is reset."""
    site.now += scheduler.STALE + timedelta(minutes=1)
    site.begin_again()


async def test_routine_runs_once_however_often_it_is_polled(
    database: OpsDatabase, rule: Recurrence, tmp_path: Path
) -> None:
    site = await settled(database, rule, tmp_path)
    for _ in range(5):
        await site.scheduler.run_if_due(rule)
    assert site.ran == [rule.routine]
    again = Site(database, tmp_path, site.now)
    await again.scheduler.run_if_due(rule)
    assert again.ran == [], "a scheduler that was restarted knows"


async def test_only_one_of_several_processes_runs_it(
    database: OpsDatabase, rule: Recurrence, tmp_path: Path
) -> None:
    first = await settled(database, rule, tmp_path)
    sites = [first, *(Site(OpsDatabase(first.home), tmp_path, first.now) for _ in range(3))]
    await asyncio.gather(*(site.scheduler.run_if_due(rule) for site in sites))
    assert sum(len(site.ran) for site in sites) == 1


async def test_after_downtime_only_the_latest_run_is_caught_up(
    database: OpsDatabase, rule: Recurrence, tmp_path: Path
) -> None:
    site = await settled(database, rule, tmp_path)
    site.now += timedelta(days=9)
    await site.scheduler.run_if_due(rule)
    await site.scheduler.run_if_due(rule)
    assert site.ran == [rule.routine]


async def test_killed_run_is_repeated(
    database: OpsDatabase, rule: Recurrence, tmp_path: Path
) -> None:
    site = await settled(database, rule, tmp_path)

    async def die(_home: Home, _routine: str) -> bool:
        raise asyncio.CancelledError

    killed = site.running(die)
    with pytest.raises(asyncio.CancelledError):
        await killed.run_if_due(rule)
    assert not await site.scheduler.run_if_due(rule), "it may still be running"
    long_after(site)
    assert await site.scheduler.run_if_due(rule)
    assert site.ran == [rule.routine]


@pytest.mark.parametrize("is_restarted", [True, False])
async def test_claim_of_a_clock_that_was_ahead_delays_no_routine(
    database: OpsDatabase, rule: Recurrence, tmp_path: Path, is_restarted: bool
) -> None:
    site = await settled(database, rule, tmp_path)
    now, site.now = site.now, site.now + timedelta(hours=8)
    site.succeeds = False
    assert not await site.scheduler.run_if_due(rule)
    site.now, site.succeeds = now, True
    if is_restarted:
        site.begin_again()
    assert await site.scheduler.run_if_due(rule)


async def test_failed_run_is_retried_a_few_times(
    database: OpsDatabase, rule: Recurrence, tmp_path: Path
) -> None:
    site = await settled(database, rule, tmp_path)
    site.succeeds = False
    for attempt in range(1, scheduler.ATTEMPTS + 3):
        assert not await site.scheduler.run_if_due(rule)
        assert not await site.scheduler.run_if_due(rule), "not at once"
        assert len(site.ran) == min(attempt, scheduler.ATTEMPTS)
        long_after(site)
    site.succeeds = True
    assert not await site.scheduler.run_if_due(rule)
    site.now += timedelta(days=1)
    assert await site.scheduler.run_if_due(rule), "the next day is another"


async def test_routine_runs_once_even_if_nothing_can_be_written(
    database: OpsDatabase, rule: Recurrence, tmp_path: Path
) -> None:
    site = await settled(database, rule, tmp_path)
    shutil.rmtree(tmp_path / "ops")
    (tmp_path / "ops").write_text("in the way")
    for _ in range(3):
        await site.scheduler.run_if_due(rule)
    assert site.ran == [rule.routine]
    site.succeeds = False
    site.now += timedelta(days=1)
    for _ in range(scheduler.ATTEMPTS + 2):
        await site.scheduler.run_if_due(rule)
        site.now += scheduler.STALE
    assert len(site.ran) == 1 + scheduler.ATTEMPTS


async def test_one_failing_task_blocks_no_other(
    database: OpsDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(database, tmp_path, NOON)
    looked: list[str] = []

    async def fail() -> None:
        raise OSError("no space")

    async def note(rule: Recurrence) -> bool:
        looked.append(rule.routine)
        raise RuntimeError("what nobody thought of")

    for step in ("_store_overflow", "_prune"):
        monkeypatch.setattr(site.scheduler, step, fail)
    monkeypatch.setattr(site.scheduler, "run_if_due", note)
    running = asyncio.create_task(site.scheduler.run_forever())
    await eventually(lambda: looked)
    await eventually(lambda: len(looked) == 5)
    running.cancel()
    assert looked == ["morning", "midday", "evening", "weekly", "monthly"]


async def test_reports_are_deleted_with_their_history(
    database: OpsDatabase, tmp_path: Path
) -> None:
    site = Site(database, tmp_path, NOON)
    folder = site.home.ops / "reports"
    folder.mkdir(parents=True)
    day = timedelta(days=Operations().history_days)
    old, kept = ((NOON - day - timedelta(days=more)).date() for more in (1, 0))
    names = [f"{date}.{ending}" for date in (old, kept) for ending in ("html", "md")]
    for name in (*names, "notes.md", f"{old}.txt"):
        (folder / name).touch()
    await site.scheduler.tidy()
    assert {path.name for path in folder.iterdir()} == {
        f"{kept}.html", f"{kept}.md", "notes.md", f"{old}.txt",
    }  # fmt: skip


async def test_due_routine_runs_and_is_recorded(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in stack.environment.items():
        monkeypatch.setenv(name, value)
    assert await scheduler.run_process(Home(stack.home), "midday")

    def is_kept() -> bool:
        runs = stack.json("ops", "history", "midday")
        return any(run["started_by"] == scheduler.SCHEDULER for run in runs)

    await eventually(lambda: asyncio.to_thread(is_kept))


@pytest.mark.parametrize(
    "text",
    [
        "09:00",
        " Mon 10:00 ",
        "1 10:30",
        "01 00:00",
        "28 23:59",
        "29 10:30",
        "0 10:30",
        "24:00",
        "9:00",
        "09:60",
        "son 10:00",
    ],
)
def test_what_the_settings_take_is_what_the_schedule_can_read(text: str) -> None:
    try:
        parse("morning", text)
    except OperatorError:
        is_read = False
    else:
        is_read = True
    assert settings_forms.FORMS["operations.morning"].fits(text) == is_read
