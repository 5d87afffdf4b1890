"""Laying out the archived log for a server to recover from: unchanged, whole, and to its very end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from chitlaq.backups.wal import archive, pages
from chitlaq.backups.wal.archive import SEGMENT_BYTES, Segment, WalArchive, WalDamagedError
from chitlaq.backups.wal.pages import PAGE_BYTES, WalPage

BLOCK_BYTES = 1 << 16
# What compressed log grows to at most, but for what is empty.
EXPANSION = 10


@dataclass(frozen=True, slots=True)
class StagedWal:
    """The log as it was laid out for a server to recover from.

    Args:
        folder: where it lies.
        segments: those that follow each other, in order.
        is_received: the last came over the network, and was not the server's own.
        damage: what is wrong with the next one, where no more could be laid out.
        notes: what was chosen where there was a choice.
    """

    folder: Path
    segments: Sequence[Segment]
    is_received: bool = True
    damage: str = ""
    notes: Sequence[str] = ()

    def unreplayed(self, reached: int) -> Segment | None:
        """The segment that holds what a replay did not come to; none when it came to the end."""
        at = pages.first_unreplayed(self._pages(reached), reached, is_received=self.is_received)
        if at is None:
            return None
        return next(s for s in self.segments if s.start_lsn <= at < s.start_lsn + SEGMENT_BYTES)

    def _pages(self, reached: int) -> Iterator[WalPage]:
        for segment in self.segments:
            if segment.start_lsn + SEGMENT_BYTES <= reached:
                continue
            first = max(0, reached - segment.start_lsn) // PAGE_BYTES * PAGE_BYTES
            with (self.folder / segment.name).open("rb") as file:
                file.seek(first)
                for offset in range(first, SEGMENT_BYTES, PAGE_BYTES):
                    page = pages.parse_page(
                        file.read(PAGE_BYTES),
                        segment.start_lsn + offset,
                        is_used_again=not self.is_received and segment == self.segments[-1],
                    )
                    if page is not None:
                        yield page


ReadableEnd = Callable[[Path, Segment], int]
"""How far a segment in a folder can be read: the position of the end of its last whole record."""


def stage(
    found: WalArchive,
    chain: Sequence[Segment],
    target: Path,
    known: Mapping[str, str],
    reach: ReadableEnd,
    *,
    is_up_to_damage: bool = False,
) -> StagedWal:
    """Lay out segments, uncompressed, each compared with the ledger.

    PostgreSQL takes the first record that it cannot read for the end of the log, and the archive's
    compressed files have no checksums of their own: what was changed would be the end, and no error.

    Args:
        found: what there is.
        chain: the segments that are wanted.
        target: the folder, which is made.
        known: the ledger.
        reach: chooses between what was being received and what the server itself has of a segment.
        is_up_to_damage: what leads to the first that is damaged is enough.

    Raises:
        DamagedError: one is not what it was, named.
    """
    target.mkdir(mode=0o700)
    notes: list[str] = []
    done: list[Segment] = []
    damage, last = "", None
    for segment in chain:
        try:
            last = _stage_segment(found, segment, target, known, reach, notes)
        except WalDamagedError as error:
            if not is_up_to_damage or not done:
                raise
            damage = str(error)
            break
        done.append(segment)
    for timeline, path in found.histories.items():
        with (target / f"{timeline:08X}.history").open("wb") as file:
            archive.decompress(path, file)
    return StagedWal(
        target, done, last is None or last.parent.name != archive.PG_WAL, damage=damage, notes=notes
    )


def check(
    found: WalArchive,
    chain: Sequence[Segment],
    known: Mapping[str, str],
    tell: Callable[[int], None],
) -> None:
    """Compare segments with the ledger as `stage` does, and lay out nothing.

    Args:
        found: what there is.
        chain: the segments that are wanted.
        known: the ledger.
        tell: told how many were looked at.

    Raises:
        DamagedError: one is not what it was, named.
    """
    for number, segment in enumerate(chain):
        tell(number)
        places = [found.segments[segment], *found.alternatives.get(segment, ())]
        try:
            archive.require_unchanged(places[0], known)
        except WalDamagedError:
            if len(places) == 1:
                raise


def _stage_segment(
    found: WalArchive,
    segment: Segment,
    target: Path,
    known: Mapping[str, str],
    reach: ReadableEnd,
    notes: list[str],
) -> Path:
    """Lay out the best there is of a segment, and return where it was."""
    places = [found.segments[segment], *found.alternatives.get(segment, ())]
    complaint = ""
    for path in [one for one in places if archive.is_whole(one)]:
        try:
            archive.require_unchanged(path, known)
            _write_segment(path, target / segment.name)
        except WalDamagedError as error:
            complaint = complaint or str(error)
            (target / segment.name).unlink(missing_ok=True)
        else:
            return path
    rest = [one for one in places if not archive.is_whole(one)]
    if not rest:
        raise WalDamagedError(complaint)
    if complaint:
        notes.append(f"{complaint} What the server itself had of it was taken instead.")
    reached: dict[Path, tuple[int, Path]] = {}
    for path in rest:
        drafts = target / "drafts" / str(len(reached))
        drafts.mkdir(parents=True)
        _write_segment(path, drafts / segment.name)
        reached[path] = reach(drafts, segment), drafts / segment.name
    # What is as long as another is taken from where it comes first.
    best = max(rest, key=lambda path: reached[path][0])
    reached[best][1].rename(target / segment.name)
    shutil.rmtree(target / "drafts")
    notes += [
        f"Of segment {segment.name} {path} can be read up to {archive.format_lsn(reached[path][0])}, and"
        f" {best} up to {archive.format_lsn(reached[best][0])}: that one was taken."
        for path in rest
        if reached[path][0] < reached[best][0]
    ]
    return best


def _write_segment(path: Path, target: Path) -> None:
    with target.open("wb") as file:
        archive.decompress(path, _SparseWriter(file))  # type: ignore[arg-type]
        size = file.tell()
        if size != SEGMENT_BYTES and archive.is_whole(path):
            raise WalDamagedError(f"{path} holds {size:,} bytes instead of {SEGMENT_BYTES:,}.")
        file.truncate(SEGMENT_BYTES)


def expected_bytes(found: WalArchive, segments: Sequence[Segment]) -> int:
    """About what segments take on the disk when they are laid out: the rest of one is often empty."""
    return sum(
        min(SEGMENT_BYTES, found.segments[one].stat().st_size * EXPANSION) for one in segments
    )


class _SparseWriter:
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
