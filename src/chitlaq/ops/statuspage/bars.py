"""How long each component was in which state on each day: what the bars of 90 days are drawn from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise

import msgspec

from chitlaq.ops.database.database import OpsDatabase, Statement, statement
from chitlaq.ops.statuspage.components import COMPONENTS, FAULTS, State, worst

DAYS = 90
# Of a longer pause between two measurements nobody knows what was.
LONGEST_PAUSE = timedelta(seconds=120)
# As Statuspage counts: a partial outage is three tenths of an outage.
_WEIGHTS = {State.MAJOR_OUTAGE: 1.0, State.PARTIAL_OUTAGE: 0.3}
# A deploy that nobody felt does not colour a day.
LEAST_SECONDS = 60.0


class Day(msgspec.Struct, frozen=True):
    """One component's day."""

    day: date
    seconds: Mapping[State, float] = {}

    @property
    def state(self) -> State | None:
        """The worst state that lasted a minute, or None of a day that nobody watched."""
        if not self.seconds:
            return None
        return worst(state for state, seconds in self.seconds.items() if seconds >= LEAST_SECONDS)

    @property
    def seconds_down(self) -> float:
        return sum(self.seconds.get(state, 0) for state in FAULTS[1:])


def uptime(days: Iterable[Day]) -> float | None:
    """Return the share of the watched time in which it worked, maintenance apart, or None of none."""
    watched = down = 0.0
    for day in days:
        for state, seconds in day.seconds.items():
            if state is not State.UNDER_MAINTENANCE:
                watched += seconds
                down += _WEIGHTS.get(state, 0.0) * seconds
    return 1 - down / watched if watched else None


def split(since: datetime, until: datetime, zone: tzinfo | None) -> Iterator[tuple[date, float]]:
    """Yield the local days that a time lies in, and its seconds on each."""
    first = since.astimezone(zone)
    cuts = [since]
    midnight = first.date() + timedelta(days=1)
    while (cut := _begin(midnight, zone)) < until:
        cuts.append(cut)
        midnight += timedelta(days=1)
    for begin, end in pairwise([*cuts, until]):
        yield begin.astimezone(zone).date(), (end - begin).total_seconds()


def _begin(day: date, zone: tzinfo | None) -> datetime:
    local = datetime(day.year, day.month, day.day, tzinfo=zone)
    # Without a time zone, `astimezone` assumes this machine's. In UTC, for two moments of one time zone
    # are subtracted as their clocks show them, also where these change in between.
    return local.astimezone(UTC)


class Counter:
    """Adds up the seconds of each state; a single process does so at a time.

    Args:
        zone: whose days count; None means this machine's.
    """

    def __init__(self, zone: tzinfo | None) -> None:
        self._zone = zone
        self._last: datetime | None = None
        self._seconds: defaultdict[tuple[str, str, State], float] | None = None

    async def count(
        self, database: OpsDatabase, states: Mapping[str, State], now: datetime
    ) -> list[Statement]:
        """Return what stores the time since the last call, in which the components had these states.

        Raises:
            OpsDatabaseUnavailableError: what was counted before cannot be read.
        """
        if self._seconds is None:
            rows = await database.rows("component_days", _text(now.astimezone(self._zone).date()))
            self._seconds = defaultdict(float)
            for row in rows:
                self._seconds[row["component"], row["day"], State(row["state"])] = row["seconds"]
        since, self._last = self._last, now
        if since is None or not timedelta() < now - since <= LONGEST_PAUSE:
            return []
        changed = []
        for day, seconds in split(since, now, self._zone):
            for component, state in states.items():
                key = (component, _text(day), state)
                self._seconds[key] += seconds
                changed.append(key)
        today = _text(now.astimezone(self._zone).date())
        kept = {
            key: total for key, total in self._seconds.items() if key in changed or key[1] >= today
        }
        self._seconds = defaultdict(float, kept)
        return [statement("keep_component_seconds", *key, kept[key]) for key in changed]


async def days(database: OpsDatabase, today: date) -> Mapping[str, Sequence[Day]]:
    """Return each component's last `DAYS` days, oldest first.

    Raises:
        OpsDatabaseUnavailableError: they cannot be read.
    """
    first = today - timedelta(days=DAYS - 1)
    found: defaultdict[tuple[str, str], dict[State, float]] = defaultdict(dict)
    for row in await database.rows("component_days", _text(first)):
        found[row["component"], row["day"]][State(row["state"])] = row["seconds"]
    dates = [first + timedelta(days=number) for number in range(DAYS)]
    return {
        name: [Day(one, found.get((name, _text(one)), {})) for one in dates] for name in COMPONENTS
    }


def _text(day: date) -> str:
    return day.isoformat()
