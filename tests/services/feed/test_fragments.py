"""Fragments: the version that is asked for or none, within the bytes that are allowed."""

from __future__ import annotations

from uuid import UUID

import hypothesis
from hypothesis import strategies

from chitlaq.services.feed.fragments import ENTRY_BYTES, Fragments

KEYS = [UUID(int=number) for number in range(8)]
STEPS = strategies.lists(
    strategies.tuples(
        strategies.sampled_from(["get", "put"]),
        strategies.sampled_from(KEYS),
        strategies.integers(1, 3),
        strategies.integers(0, 400),
    ),
    max_size=60,
)


@hypothesis.given(STEPS)
def test_a_fragment_is_of_its_version_and_all_are_bounded(
    steps: list[tuple[str, UUID, int, int]],
) -> None:
    most = 4 * (ENTRY_BYTES + 400)
    fragments = Fragments(most)
    stored: dict[tuple[UUID, int], bytes] = {}
    for step, key, version, size in steps:
        if step == "put":
            stored[key, version] = b"x" * size
            fragments.put(key, version, stored[key, version])
            assert fragments.get(key, version) == stored[key, version]
        else:
            assert fragments.get(key, version) in (None, stored.get((key, version)))
        assert fragments.size_bytes <= most + ENTRY_BYTES + 400


def test_what_is_used_stays_while_others_come_and_go() -> None:
    fragments = Fragments(20 * ENTRY_BYTES)
    fragments.put(KEYS[0], 1, b"used")
    for number in range(1000):
        fragments.put(UUID(int=100 + number), 1, b"once")
        assert fragments.get(KEYS[0], 1) == b"used"
    assert fragments.get(UUID(int=100), 1) is None
