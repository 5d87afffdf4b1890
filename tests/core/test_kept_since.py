"""No wrong clock makes a record expire before its time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from chitlaq.core.kept_since import kept_since

BEGIN = datetime(2026, 1, 1, 3, tzinfo=UTC)


@given(
    days=st.integers(1, 10),
    first_wrong=st.integers(0, 30),
    wrong_days=st.integers(1, 30),
    ahead=st.one_of(st.integers(1, 12), st.integers(13, 5000)),
)
def test_clock_that_is_ahead_for_a_while_makes_nothing_expire_early(
    days: int, first_wrong: int, wrong_days: int, ahead: int
) -> None:
    """A record a day, and then a look at what has expired; the clock is wrong on some days in between."""
    made: dict[int, datetime] = {}
    for today in range(60):
        is_wrong = first_wrong <= today < first_wrong + wrong_days
        clock = BEGIN + timedelta(days=today + (ahead if is_wrong else 0))
        made[today] = clock
        since = kept_since(made.values(), days, clock)
        expired = {day for day, moment in made.items() if moment < since}
        assert all(today - day >= days for day in expired)
        for day in expired:
            del made[day]


def test_with_a_right_clock_records_expire_when_they_are_old() -> None:
    now = BEGIN + timedelta(days=50)
    made = [BEGIN + timedelta(days=day) for day in range(51)]
    assert [one for one in made if one >= kept_since(made, 7, now)] == made[-8:]
    assert kept_since([], 7, now) == now - timedelta(days=7)


def test_machine_that_was_off_for_a_year_keeps_what_it_had() -> None:
    made = [BEGIN + timedelta(days=day) for day in range(5)]
    assert kept_since(made, 7, BEGIN + timedelta(days=400)) < made[0]
