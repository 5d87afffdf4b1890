"""Recovery: a base backup and the log, laid out so that PostgreSQL rolls one forward with the other."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from chitlaq.backups import progress
from chitlaq.backups.catalog.records import Record
from chitlaq.backups.context import (
    BackupContext,
    chown_to_postgres,
    require_free_space,
    run_program,
)
from chitlaq.backups.postgres import base_backup
from chitlaq.backups.wal import archive, staging
from chitlaq.backups.wal.archive import Segment, WalArchive, WalDamagedError
from chitlaq.backups.wal.staging import StagedWal
from chitlaq.core.errors import OperatorError
from chitlaq.stack.servers import barman

STAGED_WAL = "restored"


def prepare(
    context: BackupContext,
    chain: Sequence[Record],
    timeline: int,
    data: Path,
    *extra: Path,
    is_up_to_damage: bool = False,
) -> StagedWal:
    """Lay out a data directory that recovers when it is started with the `options`.

    Takes and raises what `lay_out` does.
    """
    staged = lay_out(context, chain, timeline, data, *extra, is_up_to_damage=is_up_to_damage)
    (data / "recovery.signal").touch(mode=0o600)
    # What belonged to whoever was replaced.
    (data / "postgresql.auto.conf").write_text("")
    data.chmod(0o700)
    chown_to_postgres(data)
    return staged


def recovery_options(data: Path, timeline: int) -> tuple[str, ...]:
    """The options with which a laid out data directory recovers and goes on as a server of its own."""
    return (
        f'restore_command=cp "{data}/{STAGED_WAL}/%f" "%p"',
        f"recovery_target_timeline={timeline}",
        "recovery_target_action=promote",
    )


def lay_out(
    context: BackupContext,
    chain: Sequence[Record],
    timeline: int,
    target: Path,
    *extra: Path,
    is_up_to_damage: bool = False,
) -> StagedWal:
    """Put together a data directory that PostgreSQL can recover, with the log in ``target/restored``.

    Args:
        context: the installation.
        chain: the backup and those that it adds to, the full one first.
        timeline: where the log that is wanted ends.
        target: the data directory, which is made.
        extra: other folders with segments.
        is_up_to_damage: the log that leads to where it is damaged is enough.

    Raises:
        OperatorError: something is missing or damaged, or there is no room.
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
        segments, hole = (
            found.chain(Segment.from_name(begin), timeline, is_up_to_hole=True),
            str(error),
        )
    require_free_space(target.parent, required_bytes(found, chain, segments), "The restore")
    sources = [str(context.folder / record.path) for record in chain]
    with progress.track_growth(
        context.report_progress, "files", target, sum(record.bytes for record in chain)
    ):
        run_program([context.program("pg_combinebackup"), "--output", str(target), *sources])
    staged = target / STAGED_WAL
    with progress.track_growth(
        context.report_progress, "log", staged, len(segments) * archive.SEGMENT_BYTES
    ):
        laid_out = staging.stage(
            found,
            segments,
            staged,
            archive.read_ledger(barman.folder(context.home, context.settings)),
            partial(readable_end, context),
            is_up_to_damage=is_up_to_damage,
        )
    return replace(laid_out, damage=laid_out.damage or hole)


def required_bytes(found: WalArchive, chain: Sequence[Record], segments: Sequence[Segment]) -> int:
    """About the bytes that a base backup takes with its log when they are laid out."""
    return sum(record.bytes for record in chain) + staging.expected_bytes(found, segments)


def reachable_timelines(context: BackupContext, found: WalArchive, record: Record) -> list[int]:
    """The timelines that a base backup can be rolled forward to: its own, and those that left it later."""
    assert record.end_wal is not None
    end = Segment.from_name(record.end_wal)
    try:
        timeline, _, position = base_backup.wal_range(context.folder / record.path)
    except OperatorError:
        # Its manifest is damaged, which is found where it is looked at.
        timeline, position = end.timeline, end.start_lsn + 1
    return found.timelines_through(timeline, position)


def readable_end(context: BackupContext, folder: Path, segment: Segment) -> int:
    """How far a segment can be read: where its last whole record ends."""
    end = archive.format_lsn(segment.start_lsn + archive.SEGMENT_BYTES)
    said = _waldump(context, folder, segment, "--stats", f"--end={end}")
    found = re.search(r"between \S+ and ([0-9A-F]+/[0-9A-F]+)", said)
    return archive.parse_lsn(found[1]) if found else segment.start_lsn


def timeline_at(context: BackupContext, found: WalArchive, moment: datetime) -> int:
    """The timeline that was written at a moment.

    A restore leaves one timeline and begins another, and whoever wants the data of a moment wants
    them as they were then: of the last timeline that had begun by then. So what was written after a
    restore to too early a moment, and what that restore left behind, can both be had. When one
    began, its first transaction says: a restore's own, before anybody else is let in.
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
    # Nothing was written on it yet.
    return datetime.fromtimestamp(found.histories[timeline].stat().st_mtime, UTC)


def _waldump(context: BackupContext, folder: Path, segment: Segment, *words: str) -> str:
    """What pg_waldump says of a segment. That it fails at the end of what was written is no fault."""
    return subprocess.run(
        [context.program("pg_waldump"), "--path", str(folder), *words, segment.name],
        check=False, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL,
        env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
    ).stdout  # fmt: skip
