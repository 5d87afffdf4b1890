"""Recovery: stage a base backup and WAL for PostgreSQL to roll forward, and choose the timeline."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from chitlaq.backups import progress
from chitlaq.backups.catalog.records import Record
from chitlaq.backups.context import (
    PROGRAM_SECONDS,
    BackupContext,
    chown_to_postgres,
    require_free_space,
    run_program,
)
from chitlaq.backups.postgres import base_backup, replay, tablespaces
from chitlaq.backups.wal import archive, ledger, staging
from chitlaq.backups.wal.archive import Segment, WalArchive, WalDamagedError
from chitlaq.backups.wal.staging import StagedWal
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import programs

STAGED_WAL = "restored"


@dataclass(frozen=True, slots=True)
class StagedRecovery:
    """A data directory that recovers when a server starts on it.

    Args:
        wal: the WAL that it replays.
        needed: the settings that must be as large as on the server that wrote the WAL.
        options: the settings with which it recovers and becomes a primary.
    """

    wal: StagedWal
    needed: Mapping[str, int]
    options: Mapping[str, str]


def prepare(
    context: BackupContext,
    chain: Sequence[Record],
    timeline: int,
    data: Path,
    *extra: Path,
    is_up_to_damage: bool = False,
) -> StagedRecovery:
    """Build a data directory that recovers, from nothing and to nowhere but itself.

    Takes the arguments and raises the errors of `lay_out`.
    """
    staged = lay_out(context, chain, timeline, data, *extra, is_up_to_damage=is_up_to_damage)
    needed = replay.confine(context, data, staged)
    # WAL outside the staged folder would be replayed where that ends.
    for path in (data / archive.PG_WAL).iterdir():
        if path.is_file():
            path.unlink()
    (data / "recovery.signal").touch(mode=0o600)
    data.chmod(0o700)
    chown_to_postgres(data)
    options = {
        **{name: str(value) for name, value in needed.items()},
        # Relative to the data directory, whose path a shell might misread.
        "restore_command": f"cp {STAGED_WAL}/%f %p",
        "recovery_target_timeline": str(timeline),
        "recovery_target_action": "promote",
    }
    return StagedRecovery(staged, needed, options)


def lay_out(
    context: BackupContext,
    chain: Sequence[Record],
    timeline: int,
    target: Path,
    *extra: Path,
    is_up_to_damage: bool = False,
) -> StagedWal:
    """Build a data directory that PostgreSQL can recover, with its WAL in ``target/restored``.

    Args:
        chain: the backup and those that it depends on, the full one first.
        timeline: the timeline to recover to.
        target: the data directory, which is created.
        extra: other folders with segments.
        is_up_to_damage: if the WAL is damaged, stage only what precedes the damage.

    Raises:
        OperatorError: something is missing or damaged, or the disk is too small.
    """
    found = base_backup.wal_archive(context, *extra)
    begin = chain[-1].begin_wal
    assert begin is not None
    hole = ""
    try:
        segments = found.chain(Segment.from_name(begin), timeline)
    except WalDamagedError as error:
        if not is_up_to_damage:
            raise
        segments = found.chain(Segment.from_name(begin), timeline, is_up_to_hole=True)
        hole = str(error)
    require_free_space(target.parent, required_bytes(found, chain, segments), "The restore")
    for record in chain:
        tablespaces.require_none(context.folder / record.path)
    sources = [str(context.folder / record.path) for record in chain]
    with progress.track_growth(
        context.report_progress, "files", target, sum(record.bytes for record in chain)
    ):
        run_program([context.program("pg_combinebackup"), "--output", str(target), *sources])
    staged = target / STAGED_WAL
    with progress.track_growth(
        context.report_progress, "WAL", staged, len(segments) * archive.SEGMENT_BYTES
    ):
        laid_out = staging.stage(
            found,
            segments,
            staged,
            ledger.read(context.barman_folder),
            partial(readable_end, context),
            is_up_to_damage=is_up_to_damage,
        )
    return replace(laid_out, damage=laid_out.damage or hole)


def required_bytes(found: WalArchive, chain: Sequence[Record], segments: Sequence[Segment]) -> int:
    """The approximate disk space for a staged base backup with its WAL."""
    return sum(record.bytes for record in chain) + staging.expected_bytes(found, segments)


def reachable_timelines(context: BackupContext, found: WalArchive, record: Record) -> list[int]:
    """The timelines that a base backup can be rolled forward to: its own and those that branch off later."""
    assert record.end_wal is not None
    end = Segment.from_name(record.end_wal)
    try:
        timeline, _, position = base_backup.wal_range(context.folder / record.path)
    except OperatorError:
        # The manifest is damaged; verification reports that.
        timeline, position = end.timeline, end.start_lsn + 1
    return found.timelines_through(timeline, position)


def readable_end(context: BackupContext, folder: Path, segment: Segment) -> int:
    """The LSN at which the last complete record of a segment ends."""
    end = archive.format_lsn(segment.start_lsn + archive.SEGMENT_BYTES)
    said = _waldump(context, folder, segment, "--stats", f"--end={end}")
    found = re.search(r"between \S+ and ([0-9A-F]+/[0-9A-F]+)", said)
    return archive.parse_lsn(found[1]) if found else segment.start_lsn


def timeline_at(context: BackupContext, found: WalArchive, moment: datetime) -> int:
    """The timeline that was current at a point in time.

    Each restore leaves one timeline and starts another. A point in time means the data as it was then: on
    the last timeline that had started by then. So both the changes after a restore to too early a point,
    and the changes that this restore left behind, can be restored. A timeline's first transaction tells
    when it started: it is the restore's own, made before clients may connect.
    """
    chosen, *later = found.timelines or [1]
    for timeline in later:
        if _timeline_start(context, found, timeline) <= moment:
            chosen = timeline
    return chosen


def _timeline_start(context: BackupContext, found: WalArchive, timeline: int) -> datetime:
    for segment in sorted(one for one in found.segments if one.timeline == timeline):
        with tempfile.TemporaryDirectory(dir=context.home.backup) as folder:
            with Path(folder, segment.name).open("wb") as file:
                archive.decompress(found.segments[segment], file)
                file.truncate(archive.SEGMENT_BYTES)
            left_at = max(
                (at for at in found.timeline_history(timeline).values() if at is not None),
                default=0,
            )
            said = _waldump(
                context, Path(folder), segment, "--rmgr=Transaction", "--limit=1",
                f"--start={archive.format_lsn(max(left_at, segment.start_lsn))}",
            )  # fmt: skip
        if transaction := re.search(r"(?:COMMIT|ABORT) ([-0-9]+ [:.0-9]+) UTC", said):
            return datetime.fromisoformat(transaction[1]).replace(tzinfo=UTC)
    # Nothing has been written on it yet.
    return datetime.fromtimestamp(found.histories[timeline].stat().st_mtime, UTC)


def _waldump(context: BackupContext, folder: Path, segment: Segment, *words: str) -> str:
    """The output of pg_waldump for a segment. It fails at the end of the written WAL, which is expected."""
    return programs.run(
        [context.program("pg_waldump"), "--path", str(folder), *words, segment.name],
        timeout_seconds=PROGRAM_SECONDS,
        variables={"TZ": "UTC"},
    ).stdout
