"""The checker of histories finds each kind of fault that it is there for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.services.websocket.chat.history import Record, faults


def sound() -> Record:
    record = Record({"a": ("x", 1), "b": ("x", 2), "c": ("x", 3)}, {"no"})
    for client in ("ada", "ben"):
        record.seen[client, "x"] = [(1, "a"), (2, "b"), (3, "c")]
    return record


def lost(record: Record) -> None:
    record.seen["ben", "x"].pop()


def twice(record: Record) -> None:
    record.seen["ben", "x"].insert(1, (1, "a"))


def out_of_order(record: Record) -> None:
    record.seen["ben", "x"].reverse()


def gap(record: Record) -> None:
    record.seen["ben", "x"] = [(1, "a"), (3, "c")]


def refused(record: Record) -> None:
    record.seen["ben", "x"].append((4, "no"))


def two_of_one_number(record: Record) -> None:
    record.seen["ben", "x"][1] = (2, "other")


def stored_again(record: Record) -> None:
    record.seen["ben", "x"].append((4, "a"))


def test_sound_history_has_no_fault() -> None:
    assert list(faults(sound())) == []


@pytest.mark.parametrize(
    "plant", [lost, twice, out_of_order, gap, refused, two_of_one_number, stored_again]
)
def test_planted_fault_is_found(plant: Callable[[Record], None]) -> None:
    record = sound()
    plant(record)
    assert list(faults(record))
