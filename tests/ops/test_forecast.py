"""A forecast is right where the past is a line, and is not made where it is none."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chitlaq.ops.checks import words
from chitlaq.ops.forecast import DAY_SECONDS, Forecast, until

HOUR = 3600.0


def hourly(*values: float) -> list[tuple[float, float]]:
    return [(at * HOUR, value) for at, value in enumerate(values)]


@given(
    start=st.floats(0, 1e12),
    per_day=st.floats(1e3, 1e10),
    hours=st.integers(25, 400),
    days_left=st.floats(0.5, 300),
)
def test_line_is_forecast_exactly(
    start: float, per_day: float, hours: int, days_left: float
) -> None:
    points = hourly(*(start + per_day * at / 24 for at in range(hours)))
    limit = points[-1][1] + per_day * days_left
    found = until(points, limit)
    if found.reason == "it does not grow":
        assert per_day * hours / 24 < 0.0011 * limit
        return
    assert found.days == pytest.approx(days_left, rel=1e-3)
    assert found.earliest is not None
    assert found.earliest <= found.days * 1.001
    assert found.latest is None or found.latest >= found.days * 0.999


def test_band_holds_the_truth_most_of_the_time() -> None:
    held = 0
    for seed in range(200):
        chance = random.Random(seed)
        points = hourly(*(100 + at / 24 * 10 + chance.gauss(0, 8) for at in range(14 * 24)))
        found = until(points, points[-1][1] + 200)
        assert found.days is not None
        assert found.earliest is not None
        assert found.latest is not None
        held += found.earliest <= 20 <= found.latest
    assert held >= 180


@pytest.mark.parametrize(
    ("points", "limit", "reason"),
    [
        ([], 10.0, "only 0 h are known"),
        (hourly(*range(5)), 1000.0, "only 4 h are known"),
        (hourly(*([5.0] * 100)), 1000.0, "it does not grow"),
        (hourly(*(100 - at for at in range(90))), 1000.0, "it shrinks"),
        (hourly(*(50 + 40 * math.sin(at / 3) for at in range(200))), 100.0, "it goes up and down"),
    ],
)
def test_without_a_line_there_is_no_forecast(
    points: list[tuple[float, float]], limit: float, reason: str
) -> None:
    found = until(points, limit)
    assert found.days is None
    assert found.reason.startswith(reason)


def test_what_is_full_is_full_now() -> None:
    assert until(hourly(*range(50)), 10.0).days == 0


@given(st.lists(st.floats(-1e9, 1e9), min_size=24, max_size=100), st.floats(0, 1e9))
def test_days_are_never_negative_nor_out_of_their_band(values: list[float], limit: float) -> None:
    points = [(at * DAY_SECONDS / 20, value) for at, value in enumerate(values)]
    found = until(points, limit)
    assert isinstance(found, Forecast)
    if found.days is None:
        assert found.reason
        return
    assert found.earliest is not None
    assert 0 <= found.earliest <= found.days
    assert found.latest is None or found.days <= found.latest


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (words.size(0), "0 B"),
        (words.size(999), "999 B"),
        (words.size(1.4e9), "1.4 GB"),
        (words.size(-2e6), "-2 MB"),
        (words.duration(0.0042), "4.2 ms"),
        (words.duration(1.2), "1.2 s"),
        (words.duration(119), "119 s"),
        (words.duration(120), "2 min"),
        (words.duration(3 * 86_400), "3 d"),
        (words.share(0.934), "93.4 %"),
        (words.count(1, "session"), "1 session"),
        (words.count(1234, "address", "addresses"), "1,234 addresses"),
        (words.quantity(1.5, "seconds"), "1.5 s"),
        (words.quantity(2e6, "bytes"), "2 MB"),
        (words.quantity(0.5, "ratio"), "50 %"),
        (words.quantity(7, ""), "7"),
    ],
)
def test_numbers_are_said_as_people_say_them(said: str, expected: str) -> None:
    assert said == expected
