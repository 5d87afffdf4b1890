"""Whether what was written is still there, byte by byte; restoring it is the drill's business."""

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
from chitlaq.backups.wal import archive, staging
from chitlaq.backups.wal.archive import Segment, WalArchive
from chitlaq.core.errors import OperatorError
from chitlaq.stack.servers import barman


@dataclass(slots=True)
class AlreadyVerified:
    """What was found unchanged just now: several backups stand on the same files."""

    backups: set[str] = field(default_factory=set)
    log: set[Path] = field(default_factory=set)


def verify(context: BackupContext, record: Record, seen: AlreadyVerified | None = None) -> Record:
    """Look at a backup, and write down what was found.

    Args:
        context: the installation.
        record: the backup.
        seen: what need not be read again, where all are looked at one after the other.

    Raises:
        UnseenError: it could not be looked at, and what was known of it stays.
    """
    begun = monotonic()
    try:
        detail, is_good = _verify(context, record, seen or AlreadyVerified()), True
    except (OperatorError, OSError) as error:
        if is_inconclusive(error):
            raise InconclusiveError(str(error)) from None
        detail, is_good = str(error), False
    verdict = ProofResult(datetime.now(UTC), is_good, detail, monotonic() - begun)
    judged = msgspec.structs.replace(record, verified=verdict)
    records.write(context.folder, judged)
    return judged


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
        raise OperatorError(f"It holds {tables} tables, and its manifest {len(record.tables)}.")
    rows = sum(table.rows for table in record.tables.values())
    return f"unchanged; {tables} tables with {rows:,} rows"


def _verify_configuration(context: BackupContext, record: Record) -> str:
    dump.require_unchanged(context, record)
    try:
        return configuration.verify(context.folder / record.path)
    except (tarfile.TarError, EOFError) as error:
        raise OperatorError(f"{record.path} cannot be read: {error}.") from None


def _verify_base_backup(context: BackupContext, record: Record, seen: AlreadyVerified) -> str:
    try:
        chain = records.read(context.folder).chain(record)
    except KeyError as missing:
        raise OperatorError(f"It adds to {missing.args[0]}, which is gone.") from None
    for one in chain:
        if one.id in seen.backups:
            continue
        base_backup.verify_files(context, one)
        seen.backups.add(one.id)
    count = verify_wal(context, record, seen)
    return f"unchanged; {len(chain)} of its chain, {count} segments of the log without a hole"


def verify_wal(context: BackupContext, record: Record, seen: AlreadyVerified) -> int:
    """Look at the log that a base backup is rolled forward with; returns how many segments it has.

    That is the log of the newest timeline that it leads to: of its own alone where a restore has gone
    back to before it, and it is as good as ever for the moments of that time.

    Args:
        context: the installation.
        record: the backup.
        seen: what need not be read again.

    Raises:
        OperatorError: a segment is missing, changed, or cannot be read.
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
        raise OperatorError(f"The log ends before segment {end.name}, which a restore needs.")
    folder = barman.folder(context.home, context.settings)
    known = archive.read_ledger(folder)
    files = [found.segments[segment] for segment in chain]
    system = base_backup.system_identifier(context.folder / record.path)
    todo = [path for path in (*files, *found.histories.values()) if path not in seen.log]
    for number, path in enumerate(todo):
        context.report_progress("check log", number, len(todo))
        # What is just being received may not have begun.
        if archive.is_whole(path) and path.suffix != ".history":
            writer = archive.segment_system_identifier(path)
            if writer != system:
                raise OperatorError(
                    f"{path} is of another server ({writer}) than the backup ({system})."
                )
        if "wals" not in path.relative_to(folder).parts:
            continue
        if path.name not in known:
            raise OperatorError(f"{path} is not in the ledger, or its line there was damaged.")
        archive.require_unchanged(path, known)
        seen.log.add(path)
    _verify_unarchived(context, found, chain, seen)
    return len(chain)


def _verify_unarchived(
    context: BackupContext, found: WalArchive, chain: Sequence[Segment], seen: AlreadyVerified
) -> None:
    """Read the segments that came whole and that the archive, and so the ledger, has not yet."""
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
                raise OperatorError(f"{path} cannot be read after {archive.format_lsn(reached)}.")
        seen.log.add(path)
