"""A connected receiver of the WAL counts as one while it receives."""

from __future__ import annotations

from chitlaq.monitoring.exporter.receiving import STILL_SECONDS, Receiving

LONG = STILL_SECONDS + 1


def test_receiver_that_takes_nothing_of_what_is_written_is_still() -> None:
    receiving = Receiving()
    assert not receiving.is_still(100, 0, 0)
    assert not receiving.is_still(100, 50, 1000), "it was written just now"
    assert not receiving.is_still(100, 60, 1000 + STILL_SECONDS - 1)
    assert receiving.is_still(100, 70, 1000 + LONG)
    assert not receiving.is_still(120, 50, 1001 + LONG), "some has arrived"
    assert receiving.is_still(120, 50, 1001 + 2 * LONG)


def test_receiver_that_is_behind_and_goes_on_is_not_still() -> None:
    receiving = Receiving()
    for step in range(10):
        assert not receiving.is_still(100 * step, 5000, LONG * step)


def test_receiver_for_which_there_is_nothing_is_not_still() -> None:
    receiving = Receiving()
    for now in (0, LONG, 2 * LONG):
        assert not receiving.is_still(100, 0, now)


def test_receiver_that_has_not_said_how_far_it_is_is_not_judged() -> None:
    receiving = Receiving()
    assert not receiving.is_still(None, None, 0)
    assert not receiving.is_still(None, None, LONG)
