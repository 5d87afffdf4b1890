"""Stage archived WAL for recovery: uncompressed, verified, up to its very end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from chitlaq.backups.wal import archive, ledger, pages
from chitlaq.backups.wal.archive import SEGMENT_BYTES, Segment, WalArchive, WalDamagedError
from chitlaq.backups.wal.pages import PAGE_BYTES, WalPage

BLOCK_BYTES = 1 << 16
# The maximum expansion of compressed WAL, apart from empty space.
EXPANSION = 10


@dataclass(frozen=True, slots=True)
class StagedWal:
    """WAL that is ready for a server to recover from.

    Args:
        folder: where it is.
        segments: consecutive segments.
        is_received: the last segment came over the network rather than from the server's own files.
        damage: why the next segment could not be staged; empty if there is none.
        notes: which files were chosen where there were several.
    """

    folder: Path
    segments: Sequence[Segment]
    is_received: bool = True
    damage: str = ""
    notes: Sequence[str] = ()

    def unreplayed(self, reached: int) -> Segment | None:
        """The segment with the first WAL that a replay did not reach; None if it reached the end."""
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
                        is_recycled=not self.is_received and segment == self.segments[-1],
                    )
                    if page is not None:
                        yield page


ReadableEnd = Callable[[Path, Segment], int]
"""Returns the LSN at which the last complete record of a segment ends."""


def stage(
    found: WalArchive,
    chain: Sequence[Segment],
    target: Path,
    known: Mapping[str, str],
    reach: ReadableEnd,
    *,
    is_up_to_damage: bool = False,
) -> StagedWal:
    """Write segments uncompressed into a folder, each verified against the ledger.

    PostgreSQL takes the first unreadable record for the end of the WAL, and the archive's compressed
    files have no checksums: a damaged file would silently end the recovery.

    Args:
        found: the archive.
        chain: the segments to stage.
        target: the folder, which is created.
        known: the ledger.
        reach: decides between a partially received segment and the server's own file of it.
        is_up_to_damage: stop at the first damaged segment instead of raising.

    Raises:
        WalDamagedError: a segment is damaged; the message names it.
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
    """Verify segments against the ledger as `stage` does, without staging them.

    Args:
        found: the archive.
        chain: the segments.
        known: the ledger.
        tell: called with the number of segments verified so far.

    Raises:
        WalDamagedError: a segment is damaged; the message names it.
    """
    for number, segment in enumerate(chain):
        tell(number)
        places = [found.segments[segment], *found.alternatives.get(segment, ())]
        try:
            ledger.require_unchanged(places[0], known)
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
    """Stage the best file of a segment; returns which one that is."""
    places = [found.segments[segment], *found.alternatives.get(segment, ())]
    complaint = ""
    for path in [one for one in places if archive.is_whole(one)]:
        try:
            ledger.require_unchanged(path, known)
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
        notes.append(f"{complaint} The server's own file was used instead.")
    reached: dict[Path, tuple[int, Path]] = {}
    for path in rest:
        drafts = target / "drafts" / str(len(reached))
        drafts.mkdir(parents=True)
        _write_segment(path, drafts / segment.name)
        reached[path] = reach(drafts, segment), drafts / segment.name
    # Of equally long files the first one is used.
    best = max(rest, key=lambda path: reached[path][0])
    reached[best][1].rename(target / segment.name)
    shutil.rmtree(target / "drafts")
    notes += [
        f"Segment {segment.name}: {path} is readable up to {archive.format_lsn(reached[path][0])}, {best}"
        f" up to {archive.format_lsn(reached[best][0])}, which was used."
        for path in rest
        if reached[path][0] < reached[best][0]
    ]
    return best


def _write_segment(path: Path, target: Path) -> None:
    with target.open("wb") as file:
        archive.decompress(path, _SparseWriter(file))  # type: ignore[arg-type]
        size = file.tell()
        if size != SEGMENT_BYTES and archive.is_whole(path):
            raise WalDamagedError(f"{path} has {size:,} bytes instead of {SEGMENT_BYTES:,}.")
        file.truncate(SEGMENT_BYTES)


def expected_bytes(found: WalArchive, segments: Sequence[Segment]) -> int:
    """The approximate size of staged segments: the rest of a segment is often empty."""
    return sum(
        min(SEGMENT_BYTES, found.segments[one].stat().st_size * EXPANSION) for one in segments
    )


class _SparseWriter:
    """Writes a file, with holes in place of zeros."""

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
