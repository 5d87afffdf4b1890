"""Keep a replay inside its data directory: rewrite the WAL records that name a folder outside it.

`CREATE TABLESPACE` is the only kind: its replay links to the folder of the server that wrote the WAL, and
would write into live files. With an empty path PostgreSQL makes an *in-place* tablespace, which is a plain
folder in ``pg_tblspc`` (commands/tablespace.c, create_tablespace_directories).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from chitlaq.backups.wal.archive import SEGMENT_BYTES, Segment, WalDamagedError, format_lsn
from chitlaq.backups.wal.pages import HEAD_BYTES, LONG_HEAD_BYTES, PAGE_BYTES

# XLogRecord (access/xlogrecord.h): the checksum, its last field, covers what follows, then what precedes.
_CHECKSUM = struct.Struct("<I")
_HEADER_BYTES = 24
_CHECKSUM_AT = 20
# Block IDs that precede the main data, with the bytes that each takes.
_ORIGIN, _TOPLEVEL_XID, _LONG_DATA, _SHORT_DATA = 253, 252, 254, 255
_SKIPPED = {_ORIGIN: 3, _TOPLEVEL_XID: 5}
_TABLESPACE_OID_BYTES = 4


def make_tablespace_in_place(folder: Path, segments: Sequence[Segment], lsn: int) -> None:
    """Empty the path in the record of a ``CREATE TABLESPACE``.

    Args:
        folder: staged WAL, which is changed.
        segments: the staged segments.
        lsn: where the record begins.

    Raises:
        WalDamagedError: there is no such record.
    """
    files = {one.number: folder / one.name for one in segments}
    (size,) = struct.unpack("<I", _read(files, lsn, 4))
    record = bytearray(_read(files, lsn, size))
    if _checksum(record) != _CHECKSUM.unpack_from(record, _CHECKSUM_AT)[0]:
        raise WalDamagedError(f"The WAL record at {format_lsn(lsn)} is damaged.")
    at = _HEADER_BYTES
    while record[at] in _SKIPPED:
        at += _SKIPPED[record[at]]
    if record[at] not in {_SHORT_DATA, _LONG_DATA}:
        raise WalDamagedError(f"The WAL record at {format_lsn(lsn)} creates no tablespace.")
    is_short = record[at] == _SHORT_DATA
    data = record[at + 1] if is_short else int.from_bytes(record[at + 1 : at + 5], "little")
    path = len(record) - data + _TABLESPACE_OID_BYTES
    record[path:] = bytes(len(record) - path)
    _CHECKSUM.pack_into(record, _CHECKSUM_AT, _checksum(record))
    done = 0
    for file, offset, length in _pieces(files, lsn, size):
        with file.open("r+b") as target:
            target.seek(offset)
            target.write(record[done : done + length])
        done += length


def _read(files: dict[int, Path], lsn: int, size: int) -> bytes:
    found = b""
    for file, offset, length in _pieces(files, lsn, size):
        with file.open("rb") as source:
            source.seek(offset)
            found += source.read(length)
    return found


def _pieces(files: dict[int, Path], lsn: int, size: int) -> Iterator[tuple[Path, int, int]]:
    """Where the bytes of a record are: file, offset and length, without the headers of pages."""
    while size > 0:
        number, offset = divmod(lsn, SEGMENT_BYTES)
        if offset % PAGE_BYTES == 0:
            header = HEAD_BYTES if offset else LONG_HEAD_BYTES
            lsn, offset = lsn + header, offset + header
        if number not in files:
            raise WalDamagedError(f"The WAL ends within the record at {format_lsn(lsn)}.")
        length = min(size, PAGE_BYTES - offset % PAGE_BYTES)
        yield files[number], offset, length
        lsn, size = lsn + length, size - length


def _checksum(record: bytes | bytearray) -> int:
    return _crc32c(record[_HEADER_BYTES:] + record[:_CHECKSUM_AT])


def _crc32c(data: bytes | bytearray) -> int:
    """CRC-32C (Castagnoli), which Python's library lacks; such records have at most a kilobyte."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
