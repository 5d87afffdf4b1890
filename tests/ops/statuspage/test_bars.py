"""Each watched second is on one day, and no other second is on any."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chitlaq.core.installation.home import Home
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.statuspage import bars
from chitlaq.ops.statuspage.bars import LONGEST_PAUSE, Counter, Day
from chitlaq.ops.statuspage.components import COMPONENTS, State
from tests.conftest import run_folder

VIENNA = ZoneInfo("Europe/Vienna")
# Summer time ends on this day, which has 25 hours.
LONG_DAY = datetime(2026, 10, 25, 12, 0, tzinfo=UTC)


async def count(
    database: OpsDatabase, turns: Sequence[tuple[datetime, State]], zone: ZoneInfo = VIENNA
) -> None:
    counter = Counter(zone)
    for at, state in turns:
        await database.write(*await counter.count(database, dict.fromkeys(COMPONENTS, state), at))


async def seconds(database: OpsDatabase, today: date) -> float:
    found = await bars.days(database, today)
    totals = {name: sum(sum(day.seconds.values()) for day in days) for name, days in found.items()}
    assert len(set(totals.values())) == 1
    return totals["feed"]


@given(
    pauses=st.lists(st.integers(min_value=-100, max_value=200), min_size=1, max_size=40),
    start=st.integers(min_value=0, max_value=86_400),
)
@settings(max_examples=30)
async def test_watched_time_is_counted_once_and_a_pause_not_at_all(
    pauses: list[int], start: int
) -> None:
    turns = [LONG_DAY + timedelta(seconds=start)]
    for pause in pauses:
        turns.append(turns[-1] + timedelta(seconds=pause))
    with (
        TemporaryDirectory(dir=run_folder()) as folder,
        OpsDatabase(Home(Path(folder))) as database,
    ):
        await count(database, [(one, list(State)[number % 5]) for number, one in enumerate(turns)])
        watched = sum(one for one in pauses if 0 < one <= LONGEST_PAUSE.total_seconds())
        assert await seconds(database, date(2026, 11, 20)) == pytest.approx(watched)


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 10, 25), 25), (date(2026, 3, 29), 23)])
async def test_day_on_which_clocks_change_has_its_own_length(
    database: OpsDatabase, day: date, hours: int
) -> None:
    begin = datetime(day.year, day.month, day.day, tzinfo=VIENNA).astimezone(UTC)
    turns = [begin + timedelta(minutes=2 * number) for number in range(-60, 30 * 27)]
    await count(database, [(at, State.OPERATIONAL) for at in turns])
    found = (await bars.days(database, day + timedelta(days=1)))["chat"]
    assert sum(found[-2].seconds.values()) == hours * 3600


def test_time_over_a_change_of_clocks_is_split_as_it_passed() -> None:
    since, until = (datetime(2026, 3, day, 12, tzinfo=UTC) for day in (28, 30))
    parts = list(bars.split(since, until, VIENNA))
    assert [seconds / 3600 for _, seconds in parts] == [11, 23, 14]
    assert [day.day for day, _ in parts] == [28, 29, 30]


async def test_restart_goes_on_counting(database: OpsDatabase) -> None:
    minute = timedelta(minutes=1)
    for begin in (LONG_DAY, LONG_DAY + 30 * minute):
        await count(
            database, [(begin + number * minute, State.MAJOR_OUTAGE) for number in range(6)]
        )
    (day,) = [one for one in (await bars.days(database, LONG_DAY.date()))["feed"] if one.seconds]
    assert day.seconds_down == 600
    assert day.state is State.MAJOR_OUTAGE


def test_uptime_counts_outages_and_not_maintenance() -> None:
    day = Day(
        LONG_DAY.date(),
        {
            State.OPERATIONAL: 800,
            State.DEGRADED_PERFORMANCE: 50,
            State.PARTIAL_OUTAGE: 100,
            State.MAJOR_OUTAGE: 50,
            State.UNDER_MAINTENANCE: 9_000,
        },
    )
    assert bars.uptime([day]) == pytest.approx(1 - 0.08)
    assert bars.uptime([Day(LONG_DAY.date())]) is None
    assert Day(LONG_DAY.date()).state is None


def test_moment_of_trouble_does_not_colour_a_day() -> None:
    day = Day(LONG_DAY.date(), {State.OPERATIONAL: 86_000, State.MAJOR_OUTAGE: 59})
    assert day.state is State.OPERATIONAL
