"""A forecast is right if the samples follow a line, and is not made if they do not."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chitlaq.core import formatting
from chitlaq.ops.checks.forecast import DAY_SECONDS, Forecast, until

HOUR = 3600.0


def hourly(*values: float) -> list[tuple[float, float]]:
    return [(at * HOUR, value) for at, value in enumerate(values)]


@given(
    start=st.floats(0, 1e12),
    per_day=st.floats(1e3, 1e10),
    hours=st.integers(25, 400),
    days_left=st.floats(0.5, 300),
)
def test_straight_line_is_forecast_exactly(
    start: float, per_day: float, hours: int, days_left: float
) -> None:
    points = hourly(*(start + per_day * at / 24 for at in range(hours)))
    limit = points[-1][1] + per_day * days_left
    found = until(points, limit)
    if found.reason == "no growth":
        assert per_day * hours / 24 < 0.0011 * limit
        return
    assert found.days is not None
    assert found.days == pytest.approx(days_left, rel=1e-3)
    assert found.earliest is not None
    assert found.earliest <= found.days * 1.001
    assert found.latest is None or found.latest >= found.days * 0.999


def noise(chance: random.Random, kept: float, step: float) -> Iterator[float]:
    """Autocorrelated noise: each value keeps this share of the previous one (AR(1))."""
    value = chance.gauss(0, step / math.sqrt(1 - kept**2))
    while True:
        yield value
        value = kept * value + chance.gauss(0, step)


@pytest.mark.parametrize(
    ("kept", "step", "ahead", "least", "widest"),
    [
        # Independent samples with a far and a near limit; weakly and strongly correlated samples;
        # nearly a random walk.
        (0.0, 8.0, 20.0, 0.93, 2),
        (0.0, 1.0, 0.5, 0.95, 0.1),
        (0.5, 6.0, 20.0, 0.92, 3),
        (0.9, 4.0, 20.0, 0.92, 10),
        (0.98, 2.0, 20.0, 0.9, 40),
    ],
)
def test_band_has_its_stated_coverage_and_is_no_wider_than_needed(
    kept: float, step: float, ahead: float, least: float, widest: float
) -> None:
    """The limit is fixed, not derived from the last sample."""
    held, widths = 0, []
    hours, times = 14 * 24, 600
    for seed in range(times):
        stray = noise(random.Random(seed), kept, step)
        points = hourly(*(100 + at / 24 * 10 + next(stray) for at in range(hours)))
        found = until(points, 100 + 10 * ((hours - 1) / 24 + ahead))
        assert found.days is not None
        assert found.earliest is not None
        latest = math.inf if found.latest is None else found.latest
        held += found.earliest <= ahead <= latest
        widths.append(latest - found.earliest)
    assert held / times >= least
    assert median(widths) < widest, "a band that holds everything says nothing"
    if kept <= 0.5:
        assert held / times <= 0.98


def test_days_are_counted_from_the_line_and_not_from_the_last_sample() -> None:
    values = [100 + at / 24 * 10 for at in range(14 * 24)]
    limit = values[-1] + 200
    for stray in (-15, 15):
        days = until(hourly(*values[:-1], values[-1] + stray), limit).days
        assert days == pytest.approx(20, abs=0.2)


def test_uncertain_growth_has_no_latest_day() -> None:
    """Two levels: a line explains them well, but such strong correlation may mean anything."""
    found = until(hourly(*(10.0 * (at > 30) + at * 0.01 for at in range(60))), 100.0)
    assert found.days is not None
    assert found.latest is None


@pytest.mark.parametrize(
    ("points", "limit", "reason"),
    [
        ([], 10.0, "only 0 h of data"),
        (hourly(*range(5)), 1000.0, "only 4 h of data"),
        (hourly(*([5.0] * 100)), 1000.0, "no growth"),
        (hourly(*(100 - at for at in range(90))), 1000.0, "shrinking"),
        (hourly(*(50 + 40 * math.sin(at / 3) for at in range(200))), 100.0, "no trend"),
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
def test_days_are_never_negative_or_outside_their_band(values: list[float], limit: float) -> None:
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
        (formatting.size(0), "0 B"),
        (formatting.size(999), "999 B"),
        (formatting.size(1.4e9), "1.4 GB"),
        (formatting.size(-2e6), "-2 MB"),
        (formatting.duration(0.0042), "4.2 ms"),
        (formatting.duration(1.2), "1.2 s"),
        (formatting.duration(119), "119 s"),
        (formatting.duration(120), "2 min"),
        (formatting.duration(3 * 86_400), "3 d"),
        (formatting.share(0.934), "93.4 %"),
        (formatting.count(1, "session"), "1 session"),
        (formatting.count(1234, "address", "addresses"), "1,234 addresses"),
        (formatting.quantity(1.5, "seconds"), "1.5 s"),
        (formatting.quantity(2e6, "bytes"), "2 MB"),
        (formatting.quantity(0.5, "ratio"), "50 %"),
        (formatting.quantity(7, ""), "7"),
    ],
)
def test_numbers_are_formatted_for_people(said: str, expected: str) -> None:
    assert said == expected
