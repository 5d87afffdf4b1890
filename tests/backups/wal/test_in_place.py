"""A tablespace's record is rewritten wherever it lies in the WAL, and nothing else is."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from chitlaq.backups.wal import in_place
from chitlaq.backups.wal.archive import SEGMENT_BYTES, Segment, WalDamagedError
from chitlaq.backups.wal.pages import PAGE_BYTES

SEGMENTS = [Segment(1, 7), Segment(1, 8)]
BEGIN = SEGMENTS[0].start_lsn


def record(path: bytes, before: bytes = b"") -> bytes:
    """The record of a ``CREATE TABLESPACE``, as PostgreSQL writes it."""
    data = struct.pack("<I", 16385) + path + b"\0"
    head = bytes([255, len(data)]) if len(data) < 256 else b"\xfe" + struct.pack("<I", len(data))
    body = before + head + data
    header = struct.pack("<IIQBBxx", 24 + len(body), 731, BEGIN, 0, 5)
    return header + struct.pack("<I", in_place._crc32c(body + header)) + body


def laid_out(folder: Path, lsn: int, content: bytes) -> None:
    """Write a record at an LSN, around the headers of pages."""
    files = {one.number: bytearray(b"\x77" * SEGMENT_BYTES) for one in SEGMENTS}
    for byte in content:
        if lsn % PAGE_BYTES == 0:
            lsn += 24 if lsn % SEGMENT_BYTES else 40
        files[lsn // SEGMENT_BYTES][lsn % SEGMENT_BYTES] = byte
        lsn += 1
    for segment in SEGMENTS:
        (folder / segment.name).write_bytes(files[segment.number])


def test_checksum_is_crc32c() -> None:
    """The check value of the Rocksoft catalogue."""
    assert in_place._crc32c(b"123456789") == 0xE3069283


@pytest.mark.parametrize("length", [70, 1000])
@pytest.mark.parametrize(
    "offset",
    [40, *(PAGE_BYTES - left for left in (8, 16, 24, 32)), *(SEGMENT_BYTES - left for left in (8, 24))],
)  # fmt: skip
def test_path_is_emptied_across_pages_and_segments(
    tmp_path: Path, offset: int, length: int
) -> None:
    before, after = record(b"/" * length), bytearray(record(b"/" * length))
    after[-length - 1 :] = bytes(length + 1)
    body, header = after[24:], after[:20]
    after[20:24] = struct.pack("<I", in_place._crc32c(body + header))
    laid_out(tmp_path, BEGIN + offset, bytes(after))
    expected = [(tmp_path / one.name).read_bytes() for one in SEGMENTS]
    laid_out(tmp_path, BEGIN + offset, before)
    in_place.make_tablespace_in_place(tmp_path, SEGMENTS, BEGIN + offset)
    assert [(tmp_path / one.name).read_bytes() for one in SEGMENTS] == expected


@pytest.mark.parametrize("before", [b"\xfd\1\0", b"\xfc\1\0\0\0", b"\xfd\1\0\xfc\1\0\0\0"])
def test_origin_and_transaction_before_the_path_are_kept(tmp_path: Path, before: bytes) -> None:
    laid_out(tmp_path, BEGIN + 40, record(b"/live", before))
    in_place.make_tablespace_in_place(tmp_path, SEGMENTS, BEGIN + 40)
    content = (tmp_path / SEGMENTS[0].name).read_bytes()
    assert before in content
    assert b"/live" not in content


def test_anything_else_is_refused_unchanged(tmp_path: Path) -> None:
    content = bytearray(record(b"/live"))
    content[-3] ^= 1
    laid_out(tmp_path, BEGIN + 40, bytes(content))
    expected = (tmp_path / SEGMENTS[0].name).read_bytes()
    with pytest.raises(WalDamagedError):
        in_place.make_tablespace_in_place(tmp_path, SEGMENTS, BEGIN + 40)
    assert (tmp_path / SEGMENTS[0].name).read_bytes() == expected
    laid_out(tmp_path, BEGIN + 2 * SEGMENT_BYTES - 40, record(b"/live")[:16])
    with pytest.raises(WalDamagedError):
        in_place.make_tablespace_in_place(tmp_path, SEGMENTS, BEGIN + 2 * SEGMENT_BYTES - 40)
