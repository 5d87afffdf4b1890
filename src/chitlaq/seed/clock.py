"""Times, ids and random generators of the demo.

A moment is a number of microseconds since 2000-01-01 UTC, the format of binary COPY.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

from chitlaq.core.ids import uuid7_bytes

MICROSECOND = timedelta(microseconds=1)
HOUR = 3_600_000_000
DAY = 24 * HOUR

POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_EPOCH_SHIFT = (POSTGRES_EPOCH - datetime(1970, 1, 1, tzinfo=UTC)) // MICROSECOND

# Relative activity in each hour of a day.
_HOURS = (3, 2, 1, 1, 1, 2, 4, 8, 11, 12, 12, 13, 15, 14, 12, 12, 13, 14, 15, 17, 18, 16, 12, 7)
_WEEKEND = 0.7


def chance(seed: int, purpose: str) -> Random:
    """Return a generator for one purpose, so that more draws for one do not change another."""
    return Random(f"{seed}:{purpose}")  # noqa: S311 - no secrets


def moment(time: datetime) -> int:
    return (time - POSTGRES_EPOCH) // MICROSECOND


def time_of(microseconds: int) -> datetime:
    return POSTGRES_EPOCH + microseconds * MICROSECOND


def uuid7(microseconds: int, rng: Random) -> bytes:
    """Return a UUIDv7 of that moment."""
    return uuid7_bytes(microseconds + _EPOCH_SHIFT, rng.getrandbits(62))


def rhythm(count: int, until: int, days: int, rng: Random) -> Iterator[int]:
    """Yield ``count`` strictly increasing moments in the days before ``until``."""
    start = until - days * DAY
    weights = [
        weight * (_WEEKEND if time_of(start + day * DAY).weekday() >= 5 else 1.0)
        for day in range(days)
        for weight in _HOURS
    ]
    total = sum(weights)
    hour, before, last = 0, 0.0, start
    for number in range(count):
        place = (number + rng.random()) / count * total
        while hour < len(weights) - 1 and before + weights[hour] <= place:
            before += weights[hour]
            hour += 1
        share = min((place - before) / weights[hour], 1.0)
        last = max(start + int((hour + share) * HOUR), last + 1)
        yield last
