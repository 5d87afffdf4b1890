"""The WAL archive: its segments and timelines, gaps, and the checksum ledger.

A segment is named after its timeline and number: 8 and 16 hexadecimal digits. A restore starts a new
timeline, whose history file says where it branched off.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import zstandard

from chitlaq.backups.wal import pages
from chitlaq.backups.wal.pages import PAGE_BYTES
from chitlaq.core.errors import OperatorError

SEGMENT_BYTES = 16 << 20
_SEGMENTS_IN_A_FILE_NAME = 0x1_0000_0000 // SEGMENT_BYTES
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_HISTORY = re.compile(r"[0-9A-F]{8}\.history")
_ZSTD = b"\x28\xb5\x2f\xfd"
# The folder with a server's own segments.
PG_WAL = "pg_wal"
# The first page of a segment begins with XLogLongPageHeaderData: a flag marks it, and the system
# identifier follows at byte 24 (access/xlog_internal.h).
_LONG_HEADER = 0x0002
_HEADER = struct.Struct("<2xH20xQ")


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """A WAL segment file."""

    timeline: int
    number: int

    @classmethod
    def from_name(cls, name: str) -> Segment:
        high, low = int(name[8:16], 16), int(name[16:24], 16)
        return cls(int(name[:8], 16), high * _SEGMENTS_IN_A_FILE_NAME + low)

    @classmethod
    def containing(cls, timeline: int, position: int) -> Segment:
        """The segment that contains an LSN."""
        return cls(timeline, position // SEGMENT_BYTES)

    @classmethod
    def ending_at(cls, timeline: int, position: int) -> Segment:
        """The segment that contains the last byte before an LSN; at a boundary, the previous segment."""
        return cls(timeline, (position - 1) // SEGMENT_BYTES)

    @property
    def start_lsn(self) -> int:
        """The LSN of its first byte."""
        return self.number * SEGMENT_BYTES

    @property
    def name(self) -> str:
        high, low = divmod(self.number, _SEGMENTS_IN_A_FILE_NAME)
        return f"{self.timeline:08X}{high:08X}{low:08X}"


def parse_lsn(text: str) -> int:
    """Parse an LSN such as ``0/41E96D0``."""
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def format_lsn(position: int) -> str:
    """Format an LSN as PostgreSQL does."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


class WalDamagedError(OperatorError):
    """The WAL archive is damaged or has a gap: nothing after it can be restored."""


@dataclass(frozen=True, slots=True)
class WalArchive:
    """The WAL that was received.

    Args:
        segments: the best file of each segment.
        histories: the history file of each timeline that a restore started.
        alternatives: other files of a segment: after a server was killed, its own copy may be longer.
    """

    segments: Mapping[Segment, Path]
    histories: Mapping[int, Path]
    alternatives: Mapping[Segment, Sequence[Path]] = field(default_factory=dict)

    @property
    def timelines(self) -> list[int]:
        return sorted({segment.timeline for segment in self.segments} | self.histories.keys())

    def timeline_history(self, timeline: int) -> dict[int, int | None]:
        """The timelines that lead to a timeline, each with the LSN at which the next one branched off."""
        line: dict[int, int | None] = {}
        if timeline in self.histories:
            for text in _text(self.histories[timeline]).splitlines():
                fields = text.split()
                with suppress(IndexError, ValueError):
                    line[int(fields[0])] = parse_lsn(fields[1])
        line[timeline] = None
        return line

    def timelines_through(self, timeline: int, position: int) -> list[int]:
        """The timelines that include an LSN of a timeline: itself, and those that branched off later."""
        found = []
        for one in sorted({timeline, *self.timelines}):
            line = self.timeline_history(one)
            left_at = line.get(timeline)
            if timeline in line and (left_at is None or position <= left_at):
                found.append(one)
        return found

    def chain(self, begin: Segment, timeline: int, *, is_up_to_hole: bool = False) -> list[Segment]:
        """The consecutive segments from one to the end of a timeline.

        Args:
            begin: the first segment, on that timeline or one that leads to it.
            timeline: where to end.
            is_up_to_hole: stop at the first gap instead of raising.

        Raises:
            WalDamagedError: a segment is missing; the message names it.
        """
        line = self.timeline_history(timeline)
        order = list(line)
        if begin.timeline not in line:
            raise WalDamagedError(f"No timeline leads from segment {begin.name} to {timeline}.")
        chain: list[Segment] = []
        number = begin.number
        for one in order[order.index(begin.timeline) :]:
            left_at = line[one]
            # The segment with the branch point is written again, on the new timeline.
            end = (
                left_at // SEGMENT_BYTES - 1
                if left_at is not None
                else max((s.number for s in self.segments if s.timeline == one), default=-1)
            )
            while number <= end:
                segment = Segment(one, number)
                if segment not in self.segments:
                    if is_up_to_hole:
                        return chain
                    raise WalDamagedError(
                        f"The WAL has a gap: segment {segment.name} is missing, and nothing after it can be"
                        " restored."
                    )
                chain.append(segment)
                number += 1
        if not chain:
            raise WalDamagedError(f"The WAL has no segments from {begin.name} on.")
        return chain


def read_archive(folder: Path, *extra: Path) -> WalArchive:
    """List the WAL that is available: archived, received, and being received (as ``.partial``).

    Args:
        folder: Barman's folder of the server.
        extra: other folders with segments, such as ``pg_wal`` of a stopped server.
    """
    segments: dict[Segment, Path] = {}
    histories: dict[int, Path] = {}
    others: dict[Segment, list[Path]] = {}
    for path in _files(folder, extra):
        name = path.name.removesuffix(".partial")
        if _SEGMENT.fullmatch(name):
            segment = Segment.from_name(name)
            # Complete files come first, partial ones last.
            if segments.setdefault(segment, path) != path:
                others.setdefault(segment, []).append(path)
        elif _HISTORY.fullmatch(name):
            histories.setdefault(int(name[:8], 16), path)
    return WalArchive(segments, histories, others)


def _files(folder: Path, extra: Sequence[Path]) -> Iterator[Path]:
    yield from complete_files(folder)
    for one in extra:
        for path in sorted(path for path in one.glob("*") if path.is_file()):
            # PostgreSQL recycles files for future segments, with their old content.
            if not _SEGMENT.fullmatch(path.name) or _is_started(path):
                yield path
    yield from sorted(folder.glob("streaming/*.partial"))
    # Partial segments from timelines that a restore left.
    yield from sorted(folder.glob("left-behind/*.partial"))


def _is_started(path: Path) -> bool:
    """Whether the first page of a segment has been written."""
    with path.open("rb") as file:
        return (
            pages.parse_page(file.read(PAGE_BYTES), Segment.from_name(path.name).start_lsn)
            is not None
        )


def is_segment(name: str) -> bool:
    """Whether a file name is that of a complete segment."""
    return _SEGMENT.fullmatch(name) is not None


def is_whole(path: Path) -> bool:
    """Whether a segment was received completely."""
    return path.parent.name != PG_WAL and path.suffix != ".partial"


def archived_files(folder: Path) -> list[Path]:
    """The files of the archive itself, which never change."""
    return [
        *sorted(folder.glob("wals/*.history")),
        *sorted(path for path in folder.glob("wals/*/*") if _SEGMENT.fullmatch(path.name)),
    ]


def complete_files(folder: Path) -> list[Path]:
    """The files of the archive, and complete files that are about to be archived."""
    return [
        *archived_files(folder),
        *sorted(folder.glob("streaming/*[0-9A-F]")),
        *sorted(folder.glob("streaming/*.history")),
    ]


def _open(path: Path) -> IO[bytes]:
    """Open a WAL file, even if it has been archived since it was listed."""
    name = path.name.removesuffix(".partial")
    folder = path.parent.parent
    for one in (path, path.with_name(name), folder / "wals" / name[:16] / name):
        with suppress(FileNotFoundError):
            return one.open("rb")
    return path.open("rb")


def decompress(path: Path, target: IO[bytes]) -> None:
    """Write the uncompressed content of a WAL file.

    Raises:
        WalDamagedError: it cannot be read.
    """
    with _open(path) as source:
        is_compressed = source.read(4) == _ZSTD
        source.seek(0)
        try:
            if is_compressed:
                zstandard.ZstdDecompressor().copy_stream(source, target)
            else:
                while chunk := source.read(1 << 20):
                    target.write(chunk)
        except zstandard.ZstdError as error:
            raise WalDamagedError(f"{path} is damaged: {error}.") from None


def compress(path: Path, target: IO[bytes]) -> None:
    """Write a WAL file compressed, as the archive stores it."""
    with _open(path) as source:
        is_compressed = source.read(4) == _ZSTD
        source.seek(0)
        if is_compressed or path.suffix == ".history":
            shutil.copyfileobj(source, target)
        else:
            zstandard.ZstdCompressor(level=3).copy_stream(source, target)


def segment_system_identifier(path: Path) -> int:
    """The system identifier of the server that wrote a segment, from its first page.

    Raises:
        OperatorError: it is not a segment, or damaged.
    """
    with _open(path) as source:
        is_compressed = source.read(4) == _ZSTD
        source.seek(0)
        try:
            plain = zstandard.ZstdDecompressor().stream_reader(source) if is_compressed else source
            header = plain.read(_HEADER.size)
        except zstandard.ZstdError as error:
            raise OperatorError(f"{path} is damaged: {error}.") from None
    if len(header) == _HEADER.size:
        flags, system = _HEADER.unpack(header)
        if flags & _LONG_HEADER:
            return int(system)
    raise OperatorError(f"{path} is not a WAL segment.")


def system_identifier(files: Sequence[Path]) -> int | None:
    """The system identifier of the server that wrote WAL files, from the newest readable segment.

    Raises:
        OperatorError: no segment is readable.
    """
    segments = [path for path in files if is_segment(path.name)]
    damage: OperatorError | None = None
    for path in sorted(segments, key=lambda path: Segment.from_name(path.name), reverse=True):
        try:
            return segment_system_identifier(path)
        except OperatorError as error:
            damage = error
    if damage is not None:
        raise damage
    return None


def is_history(name: str) -> bool:
    return _HISTORY.fullmatch(name) is not None


def content_digest(path: Path) -> str:
    """The SHA-256 of the uncompressed content of a WAL file: the same before and after archiving."""
    digest = _Digest()
    decompress(path, digest)  # type: ignore[arg-type]
    return digest.sum.hexdigest()


class _Digest:
    """Hashes what is written to it."""

    def __init__(self) -> None:
        self.sum = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sum.update(data)
        return len(data)


def _text(path: Path) -> str:
    from io import BytesIO

    buffer = BytesIO()
    decompress(path, buffer)
    return buffer.getvalue().decode(errors="replace")
