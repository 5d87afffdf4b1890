"""The archived log of PostgreSQL (WAL): which segments there are, whether they follow each other.

A segment's name is its timeline and its number, 8 and 16 hexadecimal digits; a restore begins a new
timeline, whose history file says where it left the one before.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import struct
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import zstandard

from chitlaq.backups.wal import pages
from chitlaq.backups.wal.pages import PAGE_BYTES
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files

SEGMENT_BYTES = 16 << 20
_SEGMENTS_IN_A_FILE_NAME = 0x1_0000_0000 // SEGMENT_BYTES
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_HISTORY = re.compile(r"[0-9A-F]{8}\.history")
_ZSTD = b"\x28\xb5\x2f\xfd"
LEDGER = "ledger.jsonl"
# The folder of a server's own segments.
PG_WAL = "pg_wal"
# The first page of a segment begins with XLogLongPageHeaderData: the flag says so, and behind 24 bytes
# comes the system identifier (access/xlog_internal.h).
_LONG_HEADER = 0x0002
_HEADER = struct.Struct("<2xH20xQ")


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One file of the log."""

    timeline: int
    number: int

    @classmethod
    def from_name(cls, name: str) -> Segment:
        high, low = int(name[8:16], 16), int(name[16:24], 16)
        return cls(int(name[:8], 16), high * _SEGMENTS_IN_A_FILE_NAME + low)

    @classmethod
    def containing(cls, timeline: int, position: int) -> Segment:
        """The segment in which a position lies."""
        return cls(timeline, position // SEGMENT_BYTES)

    @classmethod
    def ending_at(cls, timeline: int, position: int) -> Segment:
        """The segment that holds the last byte before a position: the one before, at a boundary."""
        return cls(timeline, (position - 1) // SEGMENT_BYTES)

    @property
    def start_lsn(self) -> int:
        """The position of its first byte."""
        return self.number * SEGMENT_BYTES

    @property
    def name(self) -> str:
        high, low = divmod(self.number, _SEGMENTS_IN_A_FILE_NAME)
        return f"{self.timeline:08X}{high:08X}{low:08X}"


def parse_lsn(text: str) -> int:
    """A position in the log, written such as ``0/41E96D0``."""
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def format_lsn(position: int) -> str:
    """A position as PostgreSQL writes it."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


class WalDamagedError(OperatorError):
    """The archived log is damaged or has a hole: nothing after it can be restored."""


@dataclass(frozen=True, slots=True)
class WalArchive:
    """What was received of the log.

    Args:
        segments: where each lies.
        histories: of each timeline that a restore began, the file that says where it left another.
        others: where else a segment lies: a server that was killed has its own, and one is longer.
    """

    segments: Mapping[Segment, Path]
    histories: Mapping[int, Path]
    alternatives: Mapping[Segment, Sequence[Path]] = field(default_factory=dict)

    @property
    def timelines(self) -> list[int]:
        return sorted({segment.timeline for segment in self.segments} | self.histories.keys())

    def timeline_history(self, timeline: int) -> dict[int, int | None]:
        """The timelines that lead to one, each with the position at which it was left for the next."""
        line: dict[int, int | None] = {}
        if timeline in self.histories:
            for text in _text(self.histories[timeline]).splitlines():
                fields = text.split()
                with suppress(IndexError, ValueError):
                    line[int(fields[0])] = parse_lsn(fields[1])
        line[timeline] = None
        return line

    def timelines_through(self, timeline: int, position: int) -> list[int]:
        """The timelines to which a position on one leads: itself, and those that left it later."""
        found = []
        for one in sorted({timeline, *self.timelines}):
            line = self.timeline_history(one)
            left_at = line.get(timeline)
            if timeline in line and (left_at is None or position <= left_at):
                found.append(one)
        return found

    def chain(self, begin: Segment, timeline: int, *, is_up_to_hole: bool = False) -> list[Segment]:
        """The segments that lead from one to the end of a timeline.

        Args:
            begin: the first, of that timeline or of one that led to it.
            timeline: where it ends.
            is_up_to_hole: what leads to the first that is missing is enough.

        Raises:
            DamagedError: one is missing, named.
        """
        line = self.timeline_history(timeline)
        order = list(line)
        if begin.timeline not in line:
            raise WalDamagedError(f"No timeline leads from segment {begin.name} to {timeline}.")
        chain: list[Segment] = []
        number = begin.number
        for one in order[order.index(begin.timeline) :]:
            left_at = line[one]
            # The segment in which a timeline is left begins anew, under the next one's name.
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
                        f"The log has a hole: segment {segment.name} is missing, and nothing after it"
                        " can be restored."
                    )
                chain.append(segment)
                number += 1
        if not chain:
            raise WalDamagedError(f"The log has nothing from segment {begin.name} on.")
        return chain


def read_archive(folder: Path, *extra: Path) -> WalArchive:
    """Look at what there is: archived, received, and still being received (the last, as ``.partial``).

    Args:
        folder: Barman's, of the server.
        extra: other folders with segments, such as the ``pg_wal`` of a server that no longer runs.
    """
    segments: dict[Segment, Path] = {}
    histories: dict[int, Path] = {}
    others: dict[Segment, list[Path]] = {}
    for path in _files(folder, extra):
        name = path.name.removesuffix(".partial")
        if _SEGMENT.fullmatch(name):
            segment = Segment.from_name(name)
            # What is whole comes first, and what was being received last.
            if segments.setdefault(segment, path) != path:
                others.setdefault(segment, []).append(path)
        elif _HISTORY.fullmatch(name):
            histories.setdefault(int(name[:8], 16), path)
    return WalArchive(segments, histories, others)


def _files(folder: Path, extra: Sequence[Path]) -> Iterator[Path]:
    yield from complete_files(folder)
    for one in extra:
        for path in sorted(path for path in one.glob("*") if path.is_file()):
            # PostgreSQL keeps files for segments to come, with what was in them before.
            if not _SEGMENT.fullmatch(path.name) or _is_started(path):
                yield path
    yield from sorted(folder.glob("streaming/*.partial"))
    # What was being received when a restore left its timeline.
    yield from sorted(folder.glob("left-behind/*.partial"))


def _is_started(path: Path) -> bool:
    """Whether the first page of a segment was written."""
    with path.open("rb") as file:
        return (
            pages.parse_page(file.read(PAGE_BYTES), Segment.from_name(path.name).start_lsn)
            is not None
        )


def is_segment(name: str) -> bool:
    """Whether a file's name is that of a whole segment."""
    return _SEGMENT.fullmatch(name) is not None


def is_whole(path: Path) -> bool:
    """Whether a segment was received to its end."""
    return path.parent.name != PG_WAL and path.suffix != ".partial"


def archived_files(folder: Path) -> list[Path]:
    """The files of the archive proper, which never change again."""
    return [
        *sorted(folder.glob("wals/*.history")),
        *sorted(path for path in folder.glob("wals/*/*") if _SEGMENT.fullmatch(path.name)),
    ]


def complete_files(folder: Path) -> list[Path]:
    """The files of the archive, and those that are to come into it next."""
    return [
        *archived_files(folder),
        *sorted(folder.glob("streaming/*[0-9A-F]")),
        *sorted(folder.glob("streaming/*.history")),
    ]


def _open(path: Path) -> IO[bytes]:
    """Open a file of the log, also when it went on to the archive since it was seen."""
    name = path.name.removesuffix(".partial")
    folder = path.parent.parent
    for one in (path, path.with_name(name), folder / "wals" / name[:16] / name):
        with suppress(FileNotFoundError):
            return one.open("rb")
    return path.open("rb")


def decompress(path: Path, target: IO[bytes]) -> None:
    """Write what a file of the archive holds, uncompressed.

    Raises:
        DamagedError: it cannot be read.
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
    """Write a file of the log as the archive has it: compressed, unless it is that already."""
    with _open(path) as source:
        is_compressed = source.read(4) == _ZSTD
        source.seek(0)
        if is_compressed or path.suffix == ".history":
            shutil.copyfileobj(source, target)
        else:
            zstandard.ZstdCompressor(level=3).copy_stream(source, target)


def segment_system_identifier(path: Path) -> int:
    """The system identifier of the server that wrote a segment, which its first page says.

    Raises:
        OperatorError: it is no segment, or damaged.
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
    raise OperatorError(f"{path} does not begin as a segment of the log does.")


def system_identifier(files: Sequence[Path]) -> int | None:
    """The system identifier of the server that wrote a log: what its newest segment says that can be read.

    Raises:
        OperatorError: none can be.
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
    """The SHA-256 of what a file of the log holds, uncompressed: the same before and after archiving."""
    digest = _Digest()
    decompress(path, digest)  # type: ignore[arg-type]
    return digest.sum.hexdigest()


class _Digest:
    """Takes what is written and only sums it."""

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


def read_ledger(folder: Path) -> dict[str, str]:
    """The SHA-256 that each file of the archive had when it came, by its name.

    A line that was damaged is none: its file is then found not to be in the ledger.
    """
    found = {}
    try:
        lines = (folder / LEDGER).read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    for line in lines:
        try:
            entry = json.loads(line)
            name, digest, seal = entry["name"], entry["sha256"], entry["seal"]
        except (ValueError, KeyError, TypeError):
            continue
        if seal == _seal(name, digest):
            found[name] = digest
    return found


def add_to_ledger(folder: Path, digests: Mapping[str, str]) -> None:
    """Add files to the ledger."""
    with (folder / LEDGER).open("a") as file:
        file.write(_entries(digests))


def prune_ledger(folder: Path, names: Container[str]) -> None:
    """Take out of the ledger what is none of these."""
    kept = {name: digest for name, digest in read_ledger(folder).items() if name in names}
    files.write(folder / LEDGER, _entries(kept))


def _entries(digests: Mapping[str, str]) -> str:
    return "".join(
        json.dumps({"name": name, "sha256": digest, "seal": _seal(name, digest)}) + "\n"
        for name, digest in digests.items()
    )


def _seal(name: str, digest: str) -> str:
    return hashlib.sha256(f"{name} {digest}".encode()).hexdigest()[:16]


def require_unchanged(path: Path, known: Mapping[str, str]) -> None:
    """Compare a file of the archive with the ledger, where it stands there.

    Raises:
        DamagedError: it is not what came.
    """
    wanted = known.get(path.name)
    if wanted is None or "wals" not in (path.parent.name, path.parent.parent.name):
        return
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != wanted:
            raise WalDamagedError(f"{path} has changed since it came.")
