"""The WAL archive: every gap is found, timelines are followed, and staged WAL is what was received."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from chitlaq.backups.catalog import records
from chitlaq.backups.wal import archive, ledger, staging
from chitlaq.backups.wal.archive import SEGMENT_BYTES, Segment, WalArchive
from chitlaq.core.errors import OperatorError


def nowhere(folder: Path, segment: Segment) -> int:
    raise AssertionError("there was nothing to choose")


def archive_of(*segments: Segment) -> WalArchive:
    return WalArchive({segment: Path(segment.name) for segment in segments}, {})


@given(st.integers(1, 2**32 - 1), st.integers(0, 2**40 - 1))
def test_segment_name_round_trips(timeline: int, number: int) -> None:
    segment = Segment(timeline, number)
    assert Segment.from_name(segment.name) == segment


def test_segment_of_an_lsn() -> None:
    at = archive.parse_lsn
    assert Segment.containing(3, at("0/41E96D0")).name == "000000030000000000000004"
    assert Segment.containing(1, at("1/FF000028")).name == "0000000100000001000000FF"
    assert Segment.ending_at(1, at("0/25000001")).name == "000000010000000000000025"
    assert Segment.ending_at(1, at("0/25000000")).name == "000000010000000000000024"
    assert Segment(1, 256).name == "000000010000000100000000"


@given(st.integers(0, 1000), st.integers(2, 30), st.data())
def test_every_missing_segment_but_the_last_is_a_named_gap(
    begin: int, count: int, data: st.DataObject
) -> None:
    whole = [Segment(1, begin + step) for step in range(count)]
    assert archive_of(*whole).chain(whole[0], 1) == whole
    missing = data.draw(st.sampled_from(whole[:-1]))
    with pytest.raises(OperatorError, match=missing.name):
        archive_of(*(one for one in whole if one != missing)).chain(whole[0], 1)


def test_restored_server_continues_on_its_own_timeline(tmp_path: Path) -> None:
    """Its history file says where it branched off; later WAL of the old timeline is not followed."""
    history = tmp_path / "00000002.history"
    history.write_text("1\t0/5000028\tno recovery target specified\n")
    first = [Segment(1, number) for number in range(2, 8)]
    second = [Segment(2, number) for number in range(5, 7)]
    found = WalArchive({one: Path(one.name) for one in (*first, *second)}, {2: history})
    assert found.chain(first[0], 2) == [*first[:3], *second]
    # The abandoned timeline is still complete.
    assert found.chain(first[0], 1) == first
    # A backup from before the branch leads to both timelines, a later one only to its own.
    assert found.timelines_through(1, archive.parse_lsn("0/5000000")) == [1, 2]
    assert found.timelines_through(1, archive.parse_lsn("0/5000029")) == [1]
    # If the new timeline starts late, there is a gap.
    late = WalArchive({one: Path(one.name) for one in (*first, second[1])}, {2: history})
    with pytest.raises(OperatorError, match=second[0].name):
        late.chain(first[0], 2)


@pytest.mark.parametrize("is_compressed", [True, False])
def test_staged_segment_equals_the_received_one_and_is_sparse(
    tmp_path: Path, is_compressed: bool
) -> None:
    content = b"".join(bytes([step]) * 5000 for step in range(1, 200)).ljust(SEGMENT_BYTES, b"\0")
    segment = Segment(1, 7)
    path = tmp_path / segment.name
    path.write_bytes(zstandard.compress(content) if is_compressed else content)
    target = tmp_path / "restored"
    staged = staging.stage(WalArchive({segment: path}, {}), [segment], target, {}, nowhere)
    assert staged.segments == [segment]
    laid_out = target / segment.name
    assert laid_out.read_bytes() == content
    assert laid_out.stat().st_blocks * 512 < SEGMENT_BYTES // 4


def archived_segment(folder: Path, text: str) -> tuple[Segment, Path, bytes]:
    """A segment in the archive's folder layout."""
    segment = Segment(1, 7)
    content = text.encode().ljust(SEGMENT_BYTES, b"\0")
    path = folder / "wals" / segment.name[:16] / segment.name
    path.parent.mkdir(parents=True)
    path.write_bytes(zstandard.compress(content))
    return segment, path, content


def test_segment_changed_since_it_arrived_is_not_staged(tmp_path: Path) -> None:
    """Even if it decompresses: compressed segments have no checksum."""
    segment, path, _ = archived_segment(tmp_path, "as it came")
    known = {segment.name: records.digest(path)}
    path.write_bytes(zstandard.compress(b"another".ljust(SEGMENT_BYTES, b"\0")))
    found = WalArchive({segment: path}, {})
    with pytest.raises(archive.WalDamagedError, match=segment.name):
        staging.stage(found, [segment], tmp_path / "a", known, nowhere)
    with pytest.raises(archive.WalDamagedError, match=segment.name):
        staging.check(found, [segment], known, lambda _: None)
    first = Segment(1, 6)
    before = path.with_name(first.name)
    before.write_bytes(zstandard.compress(bytes(SEGMENT_BYTES)))
    staged = staging.stage(
        WalArchive({first: before, segment: path}, {}),
        [first, segment],
        tmp_path / "b",
        known,
        nowhere,
        is_up_to_damage=True,
    )
    assert staged.segments == [first]
    assert segment.name in staged.damage


def test_servers_own_segment_replaces_a_changed_one(tmp_path: Path) -> None:
    segment, path, content = archived_segment(tmp_path, "as it came")
    known = {segment.name: records.digest(path)}
    path.write_bytes(path.read_bytes()[:-1])
    own = tmp_path / "pg_wal" / segment.name
    own.parent.mkdir()
    own.write_bytes(content)
    found = WalArchive({segment: path}, {}, {segment: [own]})
    staged = staging.stage(found, [segment], tmp_path / "a", known, lambda *_: 0)
    assert (staged.folder / segment.name).read_bytes() == content
    assert any("has changed since it arrived" in one for one in staged.notes)


@pytest.mark.parametrize("longer", ["pg_wal", "streaming"])
def test_of_two_partial_segments_the_longer_one_is_used(tmp_path: Path, longer: str) -> None:
    segment = Segment(1, 7)
    own = tmp_path / "pg_wal" / segment.name
    received = tmp_path / "streaming" / f"{segment.name}.partial"
    for path in (own, received):
        path.parent.mkdir()
        path.write_bytes(path.parent.name.encode().ljust(SEGMENT_BYTES, b"\0"))

    def reach(folder: Path, one: Segment) -> int:
        said = (folder / one.name).read_bytes()
        return segment.start_lsn + (200 if said.startswith(longer.encode()) else 100)

    staged = staging.stage(
        WalArchive({segment: own}, {}, {segment: [received]}), [segment], tmp_path / "a", {}, reach
    )
    assert (staged.folder / segment.name).read_bytes().startswith(longer.encode())
    assert staged.is_received == (longer == "streaming")
    assert len(staged.notes) == 1


@given(st.data())
def test_damaged_ledger_does_not_vouch_for_changed_files(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    entered = {f"segment{number}": f"{number:064x}" for number in range(4)}
    ledger.add(folder, entered)
    path = folder / ledger.LEDGER
    content = bytearray(path.read_bytes())
    where = data.draw(st.integers(0, len(content) - 1))
    content[where] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(content))
    found = ledger.read(folder)
    assert found.items() <= entered.items()


def test_truncated_ledger_line_loses_only_itself(tmp_path: Path) -> None:
    ledger.add(tmp_path, {"one": "1" * 64, "two": "2" * 64})
    path = tmp_path / ledger.LEDGER
    path.write_bytes(path.read_bytes()[:-20])
    assert ledger.read(tmp_path) == {"one": "1" * 64}
    assert json.loads(path.read_text().splitlines()[0])["name"] == "one"
