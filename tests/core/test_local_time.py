"""Moments as people's clocks show them, whatever zone the server is in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from chitlaq.core import local_time, point_in_time

AT = datetime(2026, 7, 1, 21, 30, tzinfo=UTC)


@pytest.fixture
def using() -> Iterator[Callable[[str], None]]:
    yield lambda name: local_time.use(ZoneInfo(name))
    local_time.use(None)


@pytest.mark.parametrize(
    ("zone", "name", "short", "shown"),
    [
        ("Europe/Istanbul", "Europe/Istanbul (UTC+3)", "UTC+3", "2026-07-02 00:30"),
        ("Europe/Vienna", "Europe/Vienna (UTC+2)", "CEST", "2026-07-01 23:30"),
        ("Asia/Kathmandu", "Asia/Kathmandu (UTC+0545)", "UTC+0545", "2026-07-02 03:15"),
        ("UTC", "UTC", "UTC", "2026-07-01 21:30"),
    ],
)
def test_zone_is_named_so_that_everybody_knows_it(
    using: Callable[[str], None], zone: str, name: str, short: str, shown: str
) -> None:
    using(zone)
    assert local_time.zone_name(AT) == name
    assert local_time.abbreviation(local_time.local(AT)) == short
    assert local_time.iana_name(AT) == zone
    assert local_time.clock(AT) == shown


def test_moment_is_read_in_the_zone_in_which_it_is_shown(using: Callable[[str], None]) -> None:
    using("Asia/Kathmandu")
    read = point_in_time.parse("2026-07-02T03:15", "Moment")
    assert read == AT
    assert point_in_time.shown(read) == "2026-07-02 03:15:00+05:45"
