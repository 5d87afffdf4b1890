"""The archived log of PostgreSQL (WAL): which segments there are, whether they follow each other.

A segment's name is its timeline and its number, 8 and 16 hexadecimal digits; a restore begins a new
timeline, whose history file says where it left the one before.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import struct
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import zstandard

from chitlaq.core.errors import OperatorError

SEGMENT_BYTES = 16 << 20
_SEGMENTS_IN_A_FILE_NAME = 0x1_0000_0000 // SEGMENT_BYTES
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_HISTORY = re.compile(r"[0-9A-F]{8}\.history")
_ZSTD = b"\x28\xb5\x2f\xfd"
LEDGER = "ledger.jsonl"
BLOCK_BYTES = 1 << 16
# What compressed log grows to at most, but for what is empty.
EXPANSION = 10
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
    def of(cls, name: str) -> Segment:
        high, low = int(name[8:16], 16), int(name[16:24], 16)
        return cls(int(name[:8], 16), high * _SEGMENTS_IN_A_FILE_NAME + low)

    @classmethod
    def at(cls, timeline: int, position: str) -> Segment:
        """The segment in which a position such as ``0/41E96D0`` lies."""
        high, low = position.split("/")
        return cls(timeline, ((int(high, 16) << 32) + int(low, 16)) // SEGMENT_BYTES)

    @classmethod
    def before(cls, timeline: int, position: str) -> Segment:
        """The segment that holds the last byte before a position: the one before, at a boundary."""
        high, low = position.split("/")
        return cls(timeline, ((int(high, 16) << 32) + int(low, 16) - 1) // SEGMENT_BYTES)

    @property
    def name(self) -> str:
        high, low = divmod(self.number, _SEGMENTS_IN_A_FILE_NAME)
        return f"{self.timeline:08X}{high:08X}{low:08X}"


@dataclass(frozen=True, slots=True)
class Archive:
    """What was received of the log: by name, where it lies."""

    segments: Mapping[Segment, Path]
    histories: Mapping[int, Path]

    def chain(self, begin: Segment) -> list[Segment]:
        """The segments that lead from one to the end of the newest timeline that descends from it.

        Raises:
            OperatorError: one is missing, named.
        """
        line = self._line(begin.timeline)
        chain: list[Segment] = []
        number = begin.number
        for timeline, left_at in line:
            last = max(
                (one.number for one in self.segments if one.timeline == timeline), default=-1
            )
            # The segment in which a timeline is left begins anew, under the next one's name.
            end = last if left_at is None else left_at - 1
            while number <= end:
                segment = Segment(timeline, number)
                if segment not in self.segments:
                    raise OperatorError(
                        f"The log has a hole: segment {segment.name} is missing, and nothing after it"
                        " can be restored."
                    )
                chain.append(segment)
                number += 1
        if not chain and begin not in self.segments:
            raise OperatorError(f"The log has nothing from segment {begin.name} on.")
        return chain

    def _line(self, timeline: int) -> list[tuple[int, int | None]]:
        """Timelines from one to its newest descendant, each with the number at which it was left."""
        newest = max([timeline, *self.histories])
        steps: dict[int, int] = {}
        if newest in self.histories:
            for line in plain_text(self.histories[newest]).splitlines():
                fields = line.split()
                if len(fields) >= 2 and fields[0].isdecimal():
                    steps[int(fields[0])] = Segment.at(0, fields[1]).number
        order = [*sorted(steps), newest]
        if timeline not in order:
            order, steps = [timeline], {}
        order = order[order.index(timeline) :]
        return [(one, steps.get(one) if one != order[-1] else None) for one in order]


def archive(folder: Path, *extra: Path) -> Archive:
    """Look at what there is: archived, received, and still being received (the last, as ``.partial``).

    Args:
        folder: Barman's, of the server.
        extra: other folders with segments, such as the ``pg_wal`` of a server that no longer runs.
    """
    segments: dict[Segment, Path] = {}
    histories: dict[int, Path] = {}
    for path in _files(folder, extra):
        name = path.name.removesuffix(".partial")
        if _SEGMENT.fullmatch(name):
            # What is whole comes first, and what is being received last.
            segments.setdefault(Segment.of(name), path)
        elif _HISTORY.fullmatch(name):
            histories.setdefault(int(name[:8], 16), path)
    return Archive(segments, histories)


def _files(folder: Path, extra: Sequence[Path]) -> Iterator[Path]:
    yield from received_whole(folder)
    for one in extra:
        yield from sorted(path for path in one.glob("*") if path.is_file())
    yield from sorted(folder.glob("streaming/*.partial"))


def archived(folder: Path) -> list[Path]:
    """The files of the archive proper, which never change again."""
    return [
        *sorted(folder.glob("wals/*.history")),
        *sorted(path for path in folder.glob("wals/*/*") if _SEGMENT.fullmatch(path.name)),
    ]


def received_whole(folder: Path) -> list[Path]:
    """The files of the archive, and those that are to come into it next."""
    return [
        *archived(folder),
        *sorted(folder.glob("streaming/*[0-9A-F]")),
        *sorted(folder.glob("streaming/*.history")),
    ]


def stage(found: Archive, begin: Segment, target: Path) -> int:
    """Lay out, uncompressed, all segments that a restore from one of them may want; says how many.

    Raises:
        OperatorError: one is missing, or cannot be read.
    """
    target.mkdir(mode=0o700)
    chain = found.chain(begin)
    for segment in chain:
        with (target / segment.name).open("wb") as file:
            copy_plain(found.segments[segment], _Sparse(file))  # type: ignore[arg-type]
            file.truncate(max(file.tell(), SEGMENT_BYTES))
    for timeline, path in found.histories.items():
        with (target / f"{timeline:08X}.history").open("wb") as file:
            copy_plain(path, file)
    return len(chain)


def expected_bytes(found: Archive, segments: Sequence[Segment]) -> int:
    """About what segments take on the disk when they are laid out: the rest of one is often empty."""
    return sum(
        min(SEGMENT_BYTES, found.segments[one].stat().st_size * EXPANSION) for one in segments
    )


class _Sparse:
    """Writes a file, and leaves holes where it would write nothing but zeros."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        for begin in range(0, len(data), BLOCK_BYTES):
            block = data[begin : begin + BLOCK_BYTES]
            if block != bytes(len(block)):
                self._file.write(block)
            else:
                self._file.seek(len(block), os.SEEK_CUR)
        return len(data)


def _opened(path: Path) -> IO[bytes]:
    """Open a file of the log, also when it went on to the archive since it was seen."""
    name = path.name.removesuffix(".partial")
    folder = path.parent.parent
    for one in (path, path.with_name(name), folder / "wals" / name[:16] / name):
        with suppress(FileNotFoundError):
            return one.open("rb")
    return path.open("rb")


def copy_plain(path: Path, target: IO[bytes]) -> None:
    """Write what a file of the archive holds, uncompressed.

    Raises:
        OperatorError: it is damaged.
    """
    with _opened(path) as source:
        is_compressed = source.read(4) == _ZSTD
        source.seek(0)
        try:
            if is_compressed:
                zstandard.ZstdDecompressor().copy_stream(source, target)
            else:
                while chunk := source.read(1 << 20):
                    target.write(chunk)
        except zstandard.ZstdError as error:
            raise OperatorError(f"{path} is damaged: {error}.") from None


def copy_compressed(path: Path, target: IO[bytes]) -> None:
    """Write a file of the log as the archive has it: compressed, unless it is that already."""
    with _opened(path) as source:
        is_compressed = source.read(4) == _ZSTD
        source.seek(0)
        if is_compressed or path.suffix == ".history":
            shutil.copyfileobj(source, target)
        else:
            zstandard.ZstdCompressor(level=3).copy_stream(source, target)


def system_of(path: Path) -> int:
    """The system identifier of the server that wrote a segment, which its first page says.

    Raises:
        OperatorError: it is no segment, or damaged.
    """
    with _opened(path) as source:
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


def system(files: Sequence[Path]) -> int | None:
    """The system identifier of the server that wrote a log: what its newest segment says that can be read.

    Raises:
        OperatorError: none can be.
    """
    segments = [path for path in files if is_segment(path.name)]
    damage: OperatorError | None = None
    for path in sorted(segments, key=lambda path: Segment.of(path.name), reverse=True):
        try:
            return system_of(path)
        except OperatorError as error:
            damage = error
    if damage is not None:
        raise damage
    return None


def is_segment(name: str) -> bool:
    return _SEGMENT.fullmatch(name) is not None


def is_history(name: str) -> bool:
    return _HISTORY.fullmatch(name) is not None


def plain_digest(path: Path) -> str:
    """The SHA-256 of what a file of the log holds, uncompressed: the same before and after archiving."""
    digest = _Digest()
    copy_plain(path, digest)  # type: ignore[arg-type]
    return digest.sum.hexdigest()


class _Digest:
    """Takes what is written and only sums it."""

    def __init__(self) -> None:
        self.sum = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sum.update(data)
        return len(data)


def plain_text(path: Path) -> str:
    from io import BytesIO

    buffer = BytesIO()
    copy_plain(path, buffer)
    return buffer.getvalue().decode(errors="replace")


def ledger(folder: Path) -> dict[str, str]:
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


def enter(folder: Path, digests: Mapping[str, str]) -> None:
    """Add files to the ledger."""
    with (folder / LEDGER).open("a") as file:
        for name, digest in digests.items():
            file.write(
                json.dumps({"name": name, "sha256": digest, "seal": _seal(name, digest)}) + "\n"
            )


def keep(folder: Path, names: Container[str]) -> None:
    """Take out of the ledger what is none of these."""
    kept = {name: digest for name, digest in ledger(folder).items() if name in names}
    draft = folder / f"{LEDGER}.new"
    draft.mkdir()
    try:
        enter(draft, kept)
        (draft / LEDGER).rename(folder / LEDGER)
    finally:
        shutil.rmtree(draft)


def _seal(name: str, digest: str) -> str:
    return hashlib.sha256(f"{name} {digest}".encode()).hexdigest()[:16]
