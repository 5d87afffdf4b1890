"""The archived log: every hole is found, timelines are followed, and what is laid out is what came."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from chitlaq.backups import log
from chitlaq.backups.log import SEGMENT_BYTES, Archive, Segment
from chitlaq.core.errors import OperatorError


def archive_of(*segments: Segment) -> Archive:
    return Archive({segment: Path(segment.name) for segment in segments}, {})


@given(st.integers(1, 2**32 - 1), st.integers(0, 2**40 - 1))
def test_name_of_a_segment_is_read_as_it_is_written(timeline: int, number: int) -> None:
    segment = Segment(timeline, number)
    assert Segment.of(segment.name) == segment


def test_segment_of_a_position() -> None:
    assert Segment.at(3, "0/41E96D0").name == "000000030000000000000004"
    assert Segment.at(1, "1/FF000028").name == "0000000100000001000000FF"
    assert Segment.before(1, "0/25000001").name == "000000010000000000000025"
    assert Segment.before(1, "0/25000000").name == "000000010000000000000024"
    assert Segment(1, 256).name == "000000010000000100000000"


@given(st.integers(0, 1000), st.integers(2, 30), st.data())
def test_every_missing_segment_but_the_last_is_a_hole_with_its_name(
    begin: int, count: int, data: st.DataObject
) -> None:
    whole = [Segment(1, begin + step) for step in range(count)]
    assert archive_of(*whole).chain(whole[0]) == whole
    missing = data.draw(st.sampled_from(whole[:-1]))
    with pytest.raises(OperatorError, match=missing.name):
        archive_of(*(one for one in whole if one != missing)).chain(whole[0])


def test_restored_server_goes_on_on_a_timeline_of_its_own(tmp_path: Path) -> None:
    """Its history says where it left the one before; what that one wrote later is not followed."""
    history = tmp_path / "00000002.history"
    history.write_text("1\t0/5000028\tno recovery target specified\n")
    first = [Segment(1, number) for number in range(2, 8)]
    second = [Segment(2, number) for number in range(5, 7)]
    found = Archive({one: Path(one.name) for one in (*first, *second)}, {2: history})
    assert found.chain(first[0]) == [*first[:3], *second]
    # Where the new timeline begins late there is a hole.
    late = Archive({one: Path(one.name) for one in (*first, second[1])}, {2: history})
    with pytest.raises(OperatorError, match=second[0].name):
        late.chain(first[0])


@pytest.mark.parametrize("is_compressed", [True, False])
def test_laid_out_segment_is_what_was_received_and_takes_no_room_for_zeros(
    tmp_path: Path, is_compressed: bool
) -> None:
    content = b"".join(bytes([step]) * 5000 for step in range(1, 200)).ljust(SEGMENT_BYTES, b"\0")
    segment = Segment(1, 7)
    path = tmp_path / segment.name
    path.write_bytes(zstandard.compress(content) if is_compressed else content)
    target = tmp_path / "restored"
    assert log.stage(Archive({segment: path}, {}), segment, target) == 1
    laid_out = target / segment.name
    assert laid_out.read_bytes() == content
    assert laid_out.stat().st_blocks * 512 < SEGMENT_BYTES // 4


@given(st.data())
def test_damaged_ledger_vouches_for_nothing_that_was_changed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    entered = {f"segment{number}": f"{number:064x}" for number in range(4)}
    log.enter(folder, entered)
    path = folder / log.LEDGER
    content = bytearray(path.read_bytes())
    where = data.draw(st.integers(0, len(content) - 1))
    content[where] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(content))
    found = log.ledger(folder)
    assert found.items() <= entered.items()


def test_line_that_was_cut_short_takes_only_itself(tmp_path: Path) -> None:
    log.enter(tmp_path, {"one": "1" * 64, "two": "2" * 64})
    path = tmp_path / log.LEDGER
    path.write_bytes(path.read_bytes()[:-20])
    assert log.ledger(tmp_path) == {"one": "1" * 64}
    assert json.loads(path.read_text().splitlines()[0])["name"] == "one"
