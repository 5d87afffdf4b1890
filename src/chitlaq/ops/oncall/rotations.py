"""Who has a duty at a moment, and the shifts that follow from it.

Times of the file are local. A handover that daylight saving skips comes an hour later, and one that it
repeats comes only the first time (PEP 495), so shifts follow each other without gap or overlap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import msgspec

from chitlaq.ops.oncall.roster import WEEKDAYS, Layer, Person, Roster, Rotation

_TURN_DAYS = {"day": 1, "week": 7}


class Override(msgspec.Struct, frozen=True):
    """Somebody who stands in for whoever has the duty by plan."""

    id: str
    rotation: str
    person: str
    starts_at: datetime
    ends_at: datetime
    made_by: str
    note: str = ""

    def holds(self, at: datetime) -> bool:
        return self.starts_at <= at < self.ends_at


class Shift(msgspec.Struct, frozen=True):
    """A stretch of time in which one person, or nobody, has a duty."""

    rotation: str
    starts_at: datetime
    ends_at: datetime
    person: str | None


def on_call(
    roster: Roster, overrides: Sequence[Override], rotation: str, at: datetime
) -> Person | None:
    """Return who has the duty of a rotation; None where nobody has."""
    name = _holder(roster.rotations[rotation], rotation, overrides, at)
    return roster.people.get(name) if name is not None else None


def told(roster: Roster, overrides: Sequence[Override], level: str, at: datetime) -> list[Person]:
    """Return the people of a level at a moment."""
    said = roster.levels.get(level, ())
    if isinstance(said, str):
        person = on_call(roster, overrides, said, at)
        return [person] if person is not None else []
    return [roster.people[name] for name in said]


def shifts(
    roster: Roster,
    overrides: Sequence[Override],
    rotation: str,
    starts_at: datetime,
    ends_at: datetime,
) -> list[Shift]:
    """Return the shifts of a period, each as long as it can be; together they are the whole period."""
    duty = roster.rotations[rotation]
    edges = {starts_at, ends_at}
    for layer in duty.layers:
        edges |= set(_edges(layer, duty, starts_at, ends_at))
    for one in overrides:
        edges |= {one.starts_at, one.ends_at}
    ordered = sorted(edge for edge in edges if starts_at <= edge <= ends_at)
    found: list[Shift] = []
    for first, last in pairwise(ordered):
        name = _holder(duty, rotation, overrides, first)
        if name not in roster.people:
            name = None
        if found and found[-1].person == name:
            found[-1] = msgspec.structs.replace(found[-1], ends_at=last)
        else:
            found.append(Shift(rotation, first, last, name))
    return found


def overlaps(overrides: Sequence[Override]) -> list[tuple[Override, Override]]:
    """Return the pairs of overrides that stand in for the same duty at the same time."""
    return [
        (one, other)
        for at, one in enumerate(overrides)
        for other in overrides[at + 1 :]
        if one.rotation == other.rotation
        and one.person != other.person
        and one.starts_at < other.ends_at
        and other.starts_at < one.ends_at
    ]


def holder(layer: Layer, duty: Rotation, at: datetime) -> str | None:
    """Return whose turn it is in a layer; None where it does not cover the moment."""
    if not _covers(layer, at.astimezone(duty.zone)):
        return None
    turn = _turn(layer, duty, at)
    return layer.people[turn % len(layer.people)] if turn >= 0 else None


def _holder(
    duty: Rotation, rotation: str, overrides: Sequence[Override], at: datetime
) -> str | None:
    # Of two overrides the one that was made last counts; the ids sort by time.
    for one in sorted(overrides, key=lambda one: one.id, reverse=True):
        if one.rotation == rotation and one.holds(at):
            return one.person
    for layer in reversed(duty.layers):
        name = holder(layer, duty, at)
        if name is not None:
            return name
    return None


def _turn(layer: Layer, duty: Rotation, at: datetime) -> int:
    """Return the number of a turn; negative before the first."""
    days = (at.astimezone(duty.zone).date() - _first_day(layer)).days
    turn = days // _TURN_DAYS[layer.every]
    # On the day of a handover the clock decides.
    return turn if _begin(layer, duty, turn) <= at else turn - 1


def _begin(layer: Layer, duty: Rotation, turn: int) -> datetime:
    day = _first_day(layer) + timedelta(days=turn * _TURN_DAYS[layer.every])
    return _moment(datetime.combine(day, layer.handover_time), duty)


def _first_day(layer: Layer) -> date:
    """Return the first day of the first turn: the first handover from `first_day` on."""
    weekday = layer.handover_weekday
    if weekday is None:
        return layer.first_day
    return layer.first_day + timedelta(days=(weekday - layer.first_day.weekday()) % 7)


def _moment(local: datetime, duty: Rotation) -> datetime:
    return local.replace(tzinfo=duty.zone).astimezone(UTC)


def _covers(layer: Layer, local: datetime) -> bool:
    first, last = layer.window or (time.min, time.min)
    now = local.time()
    day = local.weekday()
    if first < last:
        if not first <= now < last:
            return False
    elif now < first:
        # The hours began yesterday.
        if now >= last:
            return False
        day = (day - 1) % 7
    return not layer.days or WEEKDAYS[day] in layer.days


def _edges(
    layer: Layer, duty: Rotation, starts_at: datetime, ends_at: datetime
) -> Iterator[datetime]:
    """Yield every moment of a period at which a layer may hand over, begin or end."""
    for turn in range(max(0, _turn(layer, duty, starts_at)), _turn(layer, duty, ends_at) + 1):
        yield _begin(layer, duty, turn)
    times = set(layer.window or ())
    if layer.days and not layer.window:
        times.add(time.min)
    day = starts_at.astimezone(duty.zone).date() - timedelta(days=1)
    while times and day <= ends_at.astimezone(duty.zone).date():
        for one in times:
            local = datetime.combine(day, one)
            yield _moment(local, duty)
            # Local time passes it twice when clocks are set back, and the hours with it.
            yield _moment(local.replace(fold=1), duty)
        day += timedelta(days=1)
