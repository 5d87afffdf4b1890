"""The end of the WAL is told from damage: no WAL after a damaged record is silently dropped.

The WAL in these tests is built as PostgreSQL writes it: records across pages of 8 kB, each with its length
and the LSN of the previous one, cut where a killed server may stop.
"""

from __future__ import annotations

import struct

from hypothesis import assume, given
from hypothesis import strategies as st

from chitlaq.backups.wal import pages
from chitlaq.backups.wal.pages import PAGE_BYTES, WalPage

PAGES = 6
HEAD = 24
BASE = 0x3000000 + PAGE_BYTES


def written(lengths: list[int]) -> tuple[bytearray, list[int]]:
    """Records across some pages, and where each begins; then empty space."""
    data = bytearray(PAGES * PAGE_BYTES)
    begins: list[int] = []
    at = 0

    def put(content: bytes) -> None:
        nonlocal at
        for index, byte in enumerate(content):
            if at % PAGE_BYTES == 0:
                rest = len(content) - index if index else 0
                struct.pack_into("<HHIQI", data, at, 0xD118, 1 if rest else 0, 1, BASE + at, rest)
                at += HEAD
            data[at] = byte
            at += 1

    for length in lengths:
        if at + length + 200 > len(data):
            break
        at += -at % 8
        first = at + HEAD if at % PAGE_BYTES == 0 else at
        before = BASE + begins[-1] if begins else 0
        put(struct.pack("<IIQ", length, 1, before) + b"\xaa" * (length - 16))
        begins.append(first)
    return data, begins


def found(data: bytearray) -> list[WalPage]:
    read = (
        pages.parse_page(bytes(data[at : at + PAGE_BYTES]), BASE + at, is_recycled=False)
        for at in range(0, len(data), PAGE_BYTES)
    )
    return [one for one in read if one is not None]


def end_of(data: bytearray) -> int:
    return len(bytes(data).rstrip(b"\0"))


LENGTHS = st.lists(st.integers(32, 12_000), min_size=2, max_size=40)


@given(LENGTHS)
def test_wal_replayed_to_its_end_has_nothing_unread(lengths: list[int]) -> None:
    data, begins = written(lengths)
    assume(begins)
    end = end_of(data)
    assert pages.first_unreplayed(found(data), BASE + end + -end % 8, is_received=True) is None


@given(LENGTHS, st.data())
def test_record_cut_at_the_end_of_a_page_is_the_end_of_the_wal(
    lengths: list[int], choice: st.DataObject
) -> None:
    data, begins = written(lengths)
    cut = choice.draw(st.integers(1, PAGES - 1)) * PAGE_BYTES
    torn = [one for one in begins if one < cut]
    assume(torn and end_of(data) > cut)
    # A cut between two records tears nothing.
    assume(data[cut + 2] == 1)
    data[cut:] = bytes(len(data) - cut)
    assert pages.first_unreplayed(found(data), BASE + torn[-1], is_received=True) is None


@given(LENGTHS, st.data())
def test_replay_that_ended_before_the_last_record_left_wal_unread(
    lengths: list[int], choice: st.DataObject
) -> None:
    """One bit of that record is flipped anywhere: in its length, its content, or its pages' headers."""
    data, begins = written(lengths)
    assume(len(begins) >= 2)
    number = choice.draw(st.integers(0, len(begins) - 2))
    begin = begins[number]
    # A corrupt length that spans pages looks most like the end of the WAL.
    flipped = choice.draw(
        st.integers(begin, begins[number + 1] - 1) | st.integers(begin + 1, begin + 2)
    )
    data[flipped] ^= 1 << choice.draw(st.integers(0, 7))
    at = pages.first_unreplayed(found(data), BASE + begins[number], is_received=True)
    assert at is not None


def test_pages_left_by_a_recycled_segment_are_ignored() -> None:
    data, _ = written([100] * 20)
    page = bytes(data[:PAGE_BYTES])
    assert pages.parse_page(page, BASE) is not None
    assert pages.parse_page(page, BASE + 10 * PAGE_BYTES) is None
    assert pages.parse_page(bytes(PAGE_BYTES), BASE) is None
