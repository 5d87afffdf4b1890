"""At each moment one person at most has a duty, also when clocks change; shifts follow each other."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from chitlaq.core.installation.secret_values import Secret
from chitlaq.ops.oncall import rotations
from chitlaq.ops.oncall.roster import WEEKDAYS, Channel, Layer, Person, Roster, Rotation
from chitlaq.ops.oncall.rotations import Override

NAMES = ("ada", "grace", "edsger", "barbara")
PEOPLE = {name: Person((Channel(Secret(f"{name}@example.edu")),), "", name) for name in NAMES}
# One of each kind: none, whole hours, half an hour (Lord Howe), south of the equator, on a Friday night.
ZONES = (
    "UTC",
    "Europe/Vienna",
    "Europe/Istanbul",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Asia/Beirut",
)

times = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from((0, 15, 30, 59)))
moments = st.integers(0, 700 * 86_400).map(
    lambda seconds: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    every = draw(st.sampled_from(("day", "week")))
    at = draw(times)
    day = f"{draw(st.sampled_from(WEEKDAYS))} " if every == "week" else ""
    first, last = draw(times), draw(times)
    hours = f"{first}-{last}" if first != last and draw(st.booleans()) else ""
    return Layer(
        tuple(draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4))),
        draw(st.dates(date(2025, 12, 1), date(2027, 3, 1))),
        every,  # type: ignore[arg-type]
        f"{day}{at}",
        hours,
        tuple(draw(st.lists(st.sampled_from(WEEKDAYS), max_size=3, unique=True))),
    )


@st.composite
def plans(draw: st.DrawFn) -> tuple[Roster, list[Override]]:
    made = Rotation(
        tuple(draw(st.lists(layers(), min_size=1, max_size=3))), draw(st.sampled_from(ZONES))
    )
    overrides = []
    for number in range(draw(st.integers(0, 2))):
        begin = draw(moments)
        length = timedelta(minutes=draw(st.integers(1, 20_000)))
        overrides.append(
            Override(
                f"{number}", "primary", draw(st.sampled_from(NAMES)), begin, begin + length, "x"
            )
        )
    return Roster(PEOPLE, {"primary": made}), overrides


@settings(max_examples=60)
@given(
    plans(), moments, st.integers(1, 20), st.lists(st.floats(0, 1, exclude_max=True), max_size=20)
)
def test_shifts_tile_the_time_and_say_what_holds_at_each_moment(
    plan: tuple[Roster, list[Override]], begin: datetime, days: int, parts: list[float]
) -> None:
    roster, overrides = plan
    end = begin + timedelta(days=days)
    found = rotations.shifts(roster, overrides, "primary", begin, end)
    assert (found[0].starts_at, found[-1].ends_at) == (begin, end)
    for first, second in pairwise(found):
        assert first.ends_at == second.starts_at
        assert first.person != second.person
    for part in parts:
        at = min(begin + (end - begin) * part, end - timedelta(microseconds=1))
        (shift,) = [one for one in found if one.starts_at <= at < one.ends_at]
        person = rotations.on_call(roster, overrides, "primary", at)
        assert shift.person == (person.id if person else None)


def weekly(zone: str, handover: str) -> Roster:
    layer = Layer(("ada", "grace"), date(2026, 3, 2), "week", handover)
    return Roster(PEOPLE, {"primary": Rotation((layer,), zone)})


def test_handover_stays_at_its_local_time_when_clocks_change() -> None:
    roster = weekly("Europe/Vienna", "mon 09:00")
    found = rotations.shifts(
        roster,
        [],
        "primary",
        datetime(2026, 3, 16, 12, tzinfo=UTC),
        datetime(2026, 4, 6, tzinfo=UTC),
    )
    # Clocks are set forward on Sunday, 29 March.
    assert [f"{one.ends_at:%d %H:%M}" for one in found[:-1]] == ["23 08:00", "30 07:00"]


def test_handover_that_clocks_skip_comes_an_hour_later_and_one_that_they_repeat_comes_once() -> (
    None
):
    layer = Layer(("ada", "grace"), date(2026, 3, 1), "day", "02:30")
    roster = Roster(PEOPLE, {"primary": Rotation((layer,), "Europe/Vienna")})
    for day, moments_ in (
        (datetime(2026, 3, 28, 12, tzinfo=UTC), ["29 01:30", "30 00:30"]),
        (datetime(2026, 10, 24, 12, tzinfo=UTC), ["25 00:30", "26 01:30"]),
    ):
        found = rotations.shifts(roster, [], "primary", day, day + timedelta(days=2))
        assert [f"{one.ends_at:%d %H:%M}" for one in found[:-1]] == moments_


def test_later_layer_goes_first_and_an_override_before_all() -> None:
    base = Layer(("ada",), date(2026, 1, 1), "day", "00:00")
    night = Layer(("grace",), date(2026, 1, 1), "day", "00:00", "20:00-08:00", ("fri",))
    roster = Roster(PEOPLE, {"primary": Rotation((base, night), "UTC")})
    stands_in = Override(
        "1", "primary", "edsger", datetime(2026, 1, 10, 2, tzinfo=UTC),
        datetime(2026, 1, 10, 3, tzinfo=UTC), "x",
    )  # fmt: skip
    # A Friday.
    begin = datetime(2026, 1, 9, 12, tzinfo=UTC)
    found = rotations.shifts(roster, [stands_in], "primary", begin, begin + timedelta(days=1))
    assert [(one.person, f"{one.starts_at:%H}") for one in found] == [
        ("ada", "12"), ("grace", "20"), ("edsger", "02"), ("grace", "03"), ("ada", "08"),
    ]  # fmt: skip


def test_time_before_the_first_turn_is_a_gap() -> None:
    roster = weekly("UTC", "mon 09:00")
    begin = datetime(2026, 3, 1, tzinfo=UTC)
    found = rotations.shifts(roster, [], "primary", begin, begin + timedelta(days=3))
    assert [one.person for one in found] == [None, "ada"]
