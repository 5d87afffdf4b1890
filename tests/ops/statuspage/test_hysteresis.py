"""What is shown follows what is measured: soon when it is worse, later when it is better, without flicker."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from chitlaq.ops.statuspage.components import State
from chitlaq.ops.statuspage.hysteresis import BETTER_AFTER, WORSE_AFTER, Hysteresis

START = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)
EVERY = timedelta(seconds=30)

states = st.sampled_from(State)


def shown_by(measured: Sequence[State], before: State = State.OPERATIONAL) -> list[State]:
    held = Hysteresis(before)
    return [held.measured(state, START + number * EVERY) for number, state in enumerate(measured)]


@given(before=states, measured=st.lists(states, min_size=1, max_size=60))
def test_shown_state_was_shown_before_or_measured_lately(
    before: State, measured: list[State]
) -> None:
    shown = shown_by(measured, before)
    window = int(BETTER_AFTER / EVERY) + 2
    for number, state in enumerate(shown):
        earlier = shown[number - 1] if number else before
        assert state in {earlier, *measured[max(0, number - window) : number + 1]}


@given(before=states, measured=st.lists(states, max_size=30), last=states)
def test_what_stays_is_shown_within_five_minutes(
    before: State, measured: list[State], last: State
) -> None:
    assert shown_by([*measured, *[last] * 12], before)[-1] is last


@given(before=states, measured=st.lists(states, max_size=30), last=states)
def test_what_is_worse_twice_is_shown_at_once(
    before: State, measured: list[State], last: State
) -> None:
    assert shown_by([*measured, last, last], before)[-1].rank >= last.rank


@given(before=states, measured=st.lists(states, min_size=1, max_size=60))
def test_it_gets_better_no_sooner_than_five_minutes_after_the_last_fault(
    before: State, measured: list[State]
) -> None:
    shown = shown_by(measured, before)
    for number in range(1, len(shown)):
        if shown[number].rank < shown[number - 1].rank:
            recent = measured[max(0, number - int(BETTER_AFTER / EVERY)) : number + 1]
            assert len(recent) * EVERY > BETTER_AFTER
            assert max(one.rank for one in recent) <= shown[number].rank


def test_one_failed_probe_is_not_shown() -> None:
    measured = [State.OPERATIONAL, State.MAJOR_OUTAGE] * 3 + [State.OPERATIONAL]
    assert set(shown_by(measured)) == {State.OPERATIONAL}


def test_fault_that_comes_and_goes_stays_shown() -> None:
    pair = [State.MAJOR_OUTAGE, State.MAJOR_OUTAGE, State.OPERATIONAL, State.OPERATIONAL]
    assert set(shown_by(pair * 15)[1:]) == {State.MAJOR_OUTAGE}


def test_restart_does_not_end_an_outage() -> None:
    assert shown_by([State.OPERATIONAL] * 9, before=State.MAJOR_OUTAGE)[-1] is State.MAJOR_OUTAGE


def test_clock_that_is_set_back_begins_anew() -> None:
    held = Hysteresis(State.OPERATIONAL)
    held.measured(State.MAJOR_OUTAGE, START)
    assert held.measured(State.MAJOR_OUTAGE, START - timedelta(hours=1)) is State.OPERATIONAL
    later = START - timedelta(hours=1) + WORSE_AFTER
    assert held.measured(State.MAJOR_OUTAGE, later) is State.MAJOR_OUTAGE
