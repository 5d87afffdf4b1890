"""Quiet hours and mornings by members' clocks, through changes to and from summer time."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo
from itertools import pairwise

import pytest

from chitlaq.services.websocket.notifications.channels import quiet_hours
from chitlaq.services.websocket.notifications.channels.quiet_hours import next_morning, quiet_until

ISTANBUL, KATHMANDU, CHATHAM, BERLIN = map(
    quiet_hours.zone, ("Europe/Istanbul", "Asia/Kathmandu", "Pacific/Chatham", "Europe/Berlin")
)
DAY = timedelta(days=1)


def at(text: str) -> datetime:
    """A moment of UTC."""
    return datetime.fromisoformat(f"{text}+00:00")


def test_zone_that_does_not_exist_is_refused() -> None:
    for name in ("Europe", "Nowhere/Land", "../etc/passwd", "/etc/passwd", "", "a\0b", "x" * 5000):
        with pytest.raises(ValueError, match="such as Europe/Istanbul"):
            quiet_hours.zone(name)


@pytest.mark.parametrize(
    ("where", "begins", "ends", "first", "last"),
    [
        # Istanbul has had UTC+3 all year since 2016, Kathmandu is 5:45 ahead.
        (ISTANBUL, "22:00", "07:00", "2026-03-28 19:00", "2026-03-29 04:00"),
        (KATHMANDU, "22:00", "07:00", "2026-03-28 16:15", "2026-03-29 01:15"),
        (KATHMANDU, "13:00", "14:30", "2026-03-28 07:15", "2026-03-28 08:45"),
        # Chatham: 13:45 ahead until 2026-04-05 03:45 local, then 12:45; back on 2026-09-27 at 02:45.
        (CHATHAM, "22:00", "07:00", "2026-04-04 08:15", "2026-04-04 18:15"),
        (CHATHAM, "22:00", "07:00", "2026-09-26 09:15", "2026-09-26 17:15"),
        # Berlin's hour from 02:00 comes twice on 2026-10-25, and not at all on 2026-03-29.
        (BERLIN, "22:00", "02:30", "2026-10-24 20:00", "2026-10-25 01:30"),
        (BERLIN, "02:30", "06:00", "2026-10-25 00:30", "2026-10-25 05:00"),
        (BERLIN, "22:00", "02:30", "2026-03-28 21:00", "2026-03-29 01:30"),
        (BERLIN, "02:30", "06:00", "2026-03-29 01:30", "2026-03-29 04:00"),
    ],
)
def test_quiet_hours_are_one_stretch_by_the_members_clock(
    where: tzinfo, begins: str, ends: str, first: str, last: str
) -> None:
    """Asked every five minutes, from ten hours before to ten after."""
    hours = time.fromisoformat(begins), time.fromisoformat(ends)
    start, end = at(first), at(last)
    moment = start - timedelta(hours=10)
    while moment < end + timedelta(hours=10):
        expected = end if start <= moment < end else None
        assert quiet_until(moment, *hours, where) == expected, moment
        moment += timedelta(minutes=5)


@pytest.mark.parametrize("where", [ISTANBUL, KATHMANDU, CHATHAM, BERLIN])
def test_each_day_has_one_morning_at_eight_and_each_monday_one_a_week(where: tzinfo) -> None:
    """Through a year, whenever it is asked."""
    now, end = at("2026-01-01 00:00"), at("2027-01-01 00:00")
    days, weeks = [], []
    while now < end:
        morning, monday = (next_morning(now, rhythm, where) for rhythm in ("daily", "weekly"))
        assert timedelta(0) < morning - now <= timedelta(hours=25)
        assert timedelta(0) < monday - now <= timedelta(days=7, hours=1)
        days.append(morning.astimezone(where))
        weeks.append(monday.astimezone(where))
        now += timedelta(hours=7)
    assert {f"{one:%H:%M}" for one in (*days, *weeks)} == {"08:00"}
    assert {one.weekday() for one in weeks} == {0}
    dates = sorted({one.date() for one in days})
    assert all(later - earlier == DAY for earlier, later in pairwise(dates))


def test_installation_without_a_time_zone_has_its_machines() -> None:
    assert quiet_hours.zone_of_installation("Asia/Kathmandu") is KATHMANDU
    machines = quiet_hours.zone_of_installation("")
    now = datetime.now(UTC)
    assert now.astimezone(machines).utcoffset() == now.astimezone().utcoffset()
