"""Verify that a backup is unchanged, byte by byte; restoring it is the drill's job."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import monotonic

import msgspec

from chitlaq.backups import configuration
from chitlaq.backups.catalog import records
from chitlaq.backups.catalog.records import ProofResult, Record
from chitlaq.backups.context import BackupContext
from chitlaq.backups.errors import InconclusiveError, is_inconclusive
from chitlaq.backups.postgres import base_backup, dump, recovery
from chitlaq.backups.wal import archive, ledger, staging
from chitlaq.backups.wal.archive import Segment, WalArchive
from chitlaq.core.errors import OperatorError


@dataclass(slots=True)
class AlreadyVerified:
    """Files found unchanged in this run: several backups depend on the same files."""

    backups: set[str] = field(default_factory=set)
    log: set[Path] = field(default_factory=set)


def verify(
    context: BackupContext, record: Record, seen: AlreadyVerified | None = None
) -> ProofResult:
    """Verify a backup and record the result.

    Args:
        record: the backup.
        seen: files already verified in this run.

    Raises:
        InconclusiveError: the backup could not be examined; earlier results stand.
    """
    begun = monotonic()
    try:
        detail, is_good = _verify(context, record, seen or AlreadyVerified()), True
    except (OperatorError, OSError) as error:
        if is_inconclusive(error):
            raise InconclusiveError(str(error)) from None
        detail, is_good = str(error), False
    result = ProofResult(datetime.now(UTC), is_good, detail, monotonic() - begun)
    records.write(context.folder, msgspec.structs.replace(record, verified=result))
    return result


def _verify(context: BackupContext, record: Record, seen: AlreadyVerified) -> str:
    if record.kind == "dump":
        return _verify_dump(context, record)
    if record.kind == "configuration":
        return _verify_configuration(context, record)
    return _verify_base_backup(context, record, seen)


def _verify_dump(context: BackupContext, record: Record) -> str:
    dump.require_unchanged(context, record)
    lines = dump.table_of_contents(context, context.folder / record.path)
    tables = sum(" TABLE DATA " in line for line in lines)
    if tables < len(record.tables):
        raise OperatorError(f"It contains {tables} tables instead of {len(record.tables)}.")
    rows = sum(table.rows for table in record.tables.values())
    return f"unchanged; {tables} tables with {rows:,} rows"


def _verify_configuration(context: BackupContext, record: Record) -> str:
    dump.require_unchanged(context, record)
    try:
        return configuration.verify(context.folder / record.path)
    except (tarfile.TarError, EOFError) as error:
        raise OperatorError(f"{record.path} cannot be read: {error}.") from None


def _verify_base_backup(context: BackupContext, record: Record, seen: AlreadyVerified) -> str:
    chain = records.read(context.folder).chain(record)
    for one in chain:
        if one.id in seen.backups:
            continue
        base_backup.verify_files(context, one)
        seen.backups.add(one.id)
    count = verify_wal(context, record, seen)
    return f"unchanged; chain of {len(chain)}, {count} WAL segments without a gap"


def verify_wal(context: BackupContext, record: Record, seen: AlreadyVerified) -> int:
    """Verify the WAL that a base backup needs; returns the number of segments.

    That is the WAL of the newest timeline that the backup leads to. If a restore has gone back to before
    the backup, this is only the backup's own timeline, with which it can still be restored.

    Args:
        record: the backup.
        seen: files already verified in this run.

    Raises:
        OperatorError: a segment is missing, changed or unreadable.
    """
    assert record.begin_wal is not None
    assert record.end_wal is not None
    found = base_backup.wal_archive(context)
    end = Segment.from_name(record.end_wal)
    chain = found.chain(
        Segment.from_name(record.begin_wal),
        recovery.reachable_timelines(context, found, record)[-1],
    )
    if chain[-1].number < end.number:
        raise OperatorError(f"The WAL ends before segment {end.name}, which a restore needs.")
    folder = context.barman_folder
    known = ledger.read(folder)
    files = [found.segments[segment] for segment in chain]
    system = base_backup.system_identifier(context.folder / record.path)
    todo = [path for path in (*files, *found.histories.values()) if path not in seen.log]
    for number, path in enumerate(todo):
        context.report_progress("check WAL", number, len(todo))
        # A partial segment may still be empty.
        if archive.is_whole(path) and path.suffix != ".history":
            writer = archive.segment_system_identifier(path)
            if writer != system:
                raise OperatorError(
                    f"{path} is from another server ({writer}) than the backup ({system})."
                )
        if "wals" not in path.relative_to(folder).parts:
            continue
        if path.name not in known:
            raise OperatorError(f"{path} is not in the ledger, or its line there is damaged.")
        ledger.require_unchanged(path, known)
        seen.log.add(path)
    _verify_unarchived(context, found, chain, seen)
    return len(chain)


def _verify_unarchived(
    context: BackupContext, found: WalArchive, chain: Sequence[Segment], seen: AlreadyVerified
) -> None:
    """Read complete segments that are not archived, and so not in the ledger, yet."""
    for segment in chain:
        path = found.segments[segment]
        if path in seen.log or path.parent.name != "streaming" or not archive.is_whole(path):
            continue
        with tempfile.TemporaryDirectory(dir=context.home.backup) as folder:
            laid_out = Path(folder) / "log"
            staged = staging.stage(
                found, [segment], laid_out, {}, partial(recovery.readable_end, context)
            )
            reached = recovery.readable_end(context, laid_out, segment)
            if staged.unreplayed(reached):
                raise OperatorError(f"{path} is unreadable after {archive.format_lsn(reached)}.")
        seen.log.add(path)
