"""Base backups through Barman, and the WAL archive that makes point-in-time recovery possible."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import msgspec

from chitlaq.backups import progress
from chitlaq.backups.catalog import records
from chitlaq.backups.catalog.records import BackupKind, MissingParentError, Record
from chitlaq.backups.context import (
    BackupContext,
    require_free_space,
    run_program,
    size_of,
    wal_lock,
)
from chitlaq.backups.postgres import tablespaces
from chitlaq.backups.wal import archive, ledger, receiver
from chitlaq.backups.wal.archive import Segment, WalArchive
from chitlaq.core.errors import OperatorError
from chitlaq.stack.servers import barman

MANIFEST = "backup_manifest"
NOT_RECEIVED = "'receive-wal running' failed"
"""As Barman says that it misses the receiver."""


def take(context: BackupContext, *, full: bool) -> Record:
    """Take a base backup, full or incremental.

    It is full if there is nothing to add to, or if a restore has left the last backup's timeline.

    Raises:
        OperatorError: archiving is off, the disk is too small, or Barman failed.
    """
    if not barman.is_wanted(context.settings):
        raise OperatorError(
            "Base backups need backups.archive, which is off."
            if context.settings.embeds("postgres")
            else "Base backups need the embedded PostgreSQL; this database is external (DATABASE_URL)."
        )
    tablespaces.refuse(context)
    reconcile(context)
    receiver.wait_for_connection(context)
    _ensure_archive_started(context)
    parent = None if full else _incremental_parent(context)
    kind: BackupKind = "incremental" if parent else "full"
    expected = _expected_bytes(context, kind)
    require_free_space(context.folder, expected, f"A backup ({kind})")
    begun, moment = monotonic(), datetime.now(UTC)
    base = context.barman_folder / "base"
    before, known = size_of(base), {path.name for path in base.glob("*")}
    words = ["backup", "--immediate-checkpoint"]
    if parent:
        words += ["--incremental", barman_id(parent)]
    with progress.track_growth(context.report_progress, kind, base, before + expected):
        _take(context, words)
    made = sorted(path.name for path in base.glob("*") if path.name not in known)
    if not made:
        raise OperatorError(f"Barman reported success, but there is no new backup in {base}.")
    data = data_folder(context, made[-1])
    try:
        tablespaces.require_none(data)
    except OperatorError:
        delete(context, made[-1])
        raise
    record = msgspec.structs.replace(
        _describe(context, data),
        created_at=moment,
        seconds=monotonic() - begun,
        postgres=_server_version(context),
        parent=parent.id if parent else None,
    )
    assert record.end_wal is not None
    receiver.wait_for_segment(context, record.end_wal)
    records.write(context.folder, record)
    with wal_lock(context.home):
        archive_wal(context)
    return record


def _take(context: BackupContext, words: Sequence[str]) -> None:
    """Let Barman make it; the receiver may be gone again by the time that Barman looks for it.

    Raises:
        OperatorError: Barman did not make it.
    """
    started = monotonic()
    while True:
        try:
            barman.run(context.home, context.settings, *words, barman.SERVER)
        except OperatorError as error:
            is_late = monotonic() - started > receiver.RECEIVE_SECONDS
            if is_late or NOT_RECEIVED not in str(error):
                raise
        else:
            return
        receiver.wait_for_connection(context)


def _describe(context: BackupContext, data: Path) -> Record:
    """Build the record of a base backup from its files; it is not verified.

    Raises:
        OperatorError: the backup is incomplete.
    """
    timeline, begin, end = wal_range(data)
    label = (data / "backup_label").read_text(errors="replace")
    said = dict(line.split(": ", 1) for line in label.splitlines() if ": " in line)
    moment = datetime.strptime(said["START TIME"], "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC)
    ended = datetime.fromtimestamp((data / MANIFEST).stat().st_mtime, UTC)
    first = said.get("INCREMENTAL FROM LSN")
    kind: BackupKind = "full" if first is None else "incremental"
    return Record(
        id=f"{kind}_{data.parent.name}",
        kind=kind,
        created_at=moment,
        seconds=max(0.0, (ended - moment).total_seconds()),
        path=str(data.relative_to(context.folder)),
        bytes=size_of(data),
        sha256=records.digest(data / MANIFEST),
        postgres=int((data / "PG_VERSION").read_text()) * 10_000,
        parent=None if first is None else _backup_starting_at(context, archive.parse_lsn(first)),
        begin_wal=Segment.containing(timeline, begin).name,
        end_wal=Segment.ending_at(timeline, end).name,
        timeline=timeline,
        system=system_identifier(data),
    )


def _backup_starting_at(context: BackupContext, position: int) -> str:
    """The ID of the base backup that started at an LSN, by which an incremental backup names its parent.

    Raises:
        OperatorError: it is missing.
    """
    for data in data_folders(context):
        with suppress(OperatorError):
            if wal_range(data)[1] == position:
                label = (data / "backup_label").read_text(errors="replace")
                kind = "incremental" if "INCREMENTAL FROM LSN" in label else "full"
                return f"{kind}_{data.parent.name}"
    raise OperatorError(f"The backup that started at {archive.format_lsn(position)} is missing.")


class _Range(
    msgspec.Struct, rename={"timeline": "Timeline", "start": "Start-LSN", "end": "End-LSN"}
):
    timeline: int
    start: str
    end: str


class _Manifest(msgspec.Struct, rename={"ranges": "WAL-Ranges", "system": "System-Identifier"}):
    """The fields of `backup_manifest`, which PostgreSQL writes when a base backup is complete."""

    ranges: list[_Range]
    system: int


def wal_range(data: Path) -> tuple[int, int, int]:
    """A base backup's timeline, and the LSNs between which a restore needs all WAL.

    Raises:
        OperatorError: the backup is incomplete.
    """
    try:
        found = msgspec.json.decode((data / MANIFEST).read_bytes(), type=_Manifest).ranges
        first, last = found[0], found[-1]
        return last.timeline, archive.parse_lsn(first.start), archive.parse_lsn(last.end)
    except (FileNotFoundError, msgspec.DecodeError, IndexError, ValueError):
        raise OperatorError(f"{data} has no manifest: the backup is incomplete.") from None


def system_identifier(data: Path) -> int:
    """The system identifier of a base backup's server.

    Raises:
        OperatorError: its manifest is missing or unreadable.
    """
    try:
        return msgspec.json.decode((data / MANIFEST).read_bytes(), type=_Manifest).system
    except (OSError, msgspec.DecodeError):
        raise OperatorError(f"{data} has no readable manifest.") from None


def _server_version(context: BackupContext) -> int:
    """The server's version as a number: 180006 for 18.6."""
    major, minor = run_program([context.program("postgres"), "--version"]).split()[2].split(".")[:2]
    return int(major) * 10_000 + int(minor)


def _ensure_archive_started(context: BackupContext) -> None:
    """Archive a first segment if there is none: Barman refuses to back up without one.

    Barman leaves the newest received segment where it is, so this completes two.
    """
    if not archive.archived_files(context.barman_folder):
        receiver.switch_segment(context, "chitlaq_archive")
        receiver.switch_segment(context, "chitlaq_archive")
        with wal_lock(context.home):
            archive_wal(context)


def barman_id(record: Record) -> str:
    return record.id.partition("_")[2]


def data_folder(context: BackupContext, name: str) -> Path:
    return context.barman_folder / "base" / name / "data"


def data_folders(context: BackupContext) -> list[Path]:
    """The data directories of all base backups, complete or not."""
    return sorted(context.barman_folder.glob("base/*/data"))


def archive_wal(context: BackupContext) -> int:
    """Move completely received WAL files into the archive, compressed; returns how many are new.

    Each new file is read back and entered in the ledger, against which it is verified from then on.

    Raises:
        OperatorError: Barman failed, or a received file is damaged.
    """
    folder = context.barman_folder
    if barman.waiting(context.home, context.settings):
        barman.run(context.home, context.settings, "archive-wal", barman.SERVER)
    known = ledger.read(folder)
    new = {}
    for path in archive.archived_files(folder):
        if path.name in known:
            continue
        plain = _ByteCounter()
        archive.decompress(path, plain)  # type: ignore[arg-type]
        if not path.name.endswith(".history") and plain.size != archive.SEGMENT_BYTES:
            raise OperatorError(f"{path} has {plain.size:,} bytes: it is incomplete.")
        new[path.name] = records.digest(path)
    if new:
        ledger.add(folder, new)
    return len(new)


class _ByteCounter:
    """Counts what is written to it."""

    size = 0

    def write(self, data: bytes) -> int:
        self.size += len(data)
        return len(data)


def reconcile(context: BackupContext) -> list[str]:
    """Delete incomplete base backups of killed processes, and give complete ones without a record a new one.

    A backup with a manifest is complete. It is never deleted for lack of a record: the records may be
    what was lost. Returns the IDs of new records.
    """
    found = records.read(context.folder)
    known = {barman_id(one) for one in found.of("full", "incremental")}
    known |= {name.partition("_")[2] for name in found.damaged}
    new = []
    for base in sorted(context.barman_folder.glob("base/*")):
        if base.name in known:
            continue
        if not (base / "data" / MANIFEST).exists():
            delete(context, base.name)
            continue
        try:
            record = _describe(context, base / "data")
        except (OperatorError, OSError, ValueError, KeyError):
            # It stays, unused.
            continue
        records.write(context.folder, record)
        new.append(record.id)
    return new


def delete(context: BackupContext, name: str) -> None:
    """Delete a base backup, whether or not Barman's catalog has it.

    Barman itself would also delete WAL from before the oldest backup that it knows, and it does not know
    backups that were fetched. `trim_wal` deletes WAL instead.
    """
    folder = context.barman_folder
    # Without a manifest it no longer counts, even if this is interrupted.
    (folder / "base" / name / "data" / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(folder / "base" / name, ignore_errors=True)
    barman.catalogued(context.home, context.settings, name).unlink(missing_ok=True)


def trim_wal(context: BackupContext) -> int:
    """Delete archived WAL that no base backup needs; returns how many files.

    Nothing is deleted if the record of a full backup is damaged: it may need any.
    """
    found = records.read(context.folder)
    begins = [one.begin_wal for one in found.of("full")]
    if not begins or None in begins or any(name.startswith("full_") for name in found.damaged):
        return 0
    first = min(Segment.from_name(name).number for name in begins if name)
    folder = context.barman_folder
    gone = [
        path
        for path in archive.archived_files(folder)
        if archive.is_segment(path.name) and Segment.from_name(path.name).number < first
    ]
    for path in gone:
        path.unlink()
    if gone:
        ledger.prune(folder, {path.name for path in archive.archived_files(folder)})
    return len(gone)


def _incremental_parent(context: BackupContext) -> Record | None:
    """The newest backup, if an incremental one can be based on it: the server is still on its timeline.

    Barman must know the whole chain; it does not know backups that were fetched.
    """
    found = records.read(context.folder)
    newest = found.newest("full", "incremental")
    if newest is None or (newest.verified is not None and not newest.verified.is_good):
        return None
    try:
        chain = found.chain(newest)
    except MissingParentError:
        return None
    if not all(
        barman.catalogued(context.home, context.settings, barman_id(one)).exists() for one in chain
    ):
        return None
    if not data_folder(context, barman_id(newest)).exists() or newest.timeline != max(
        wal_archive(context).timelines, default=0
    ):
        return None
    return newest


def wal_archive(context: BackupContext, *extra: Path) -> WalArchive:
    return archive.read_archive(context.barman_folder, *extra)


def _expected_bytes(context: BackupContext, kind: BackupKind) -> int:
    last = records.read(context.folder).newest(kind)
    if last is not None:
        return last.bytes * 6 // 5
    return size_of(context.home.postgres_data) if kind == "full" else 0


def verify_files(context: BackupContext, record: Record) -> None:
    """Verify each file of a base backup against the manifest that PostgreSQL wrote with it.

    Raises:
        OperatorError: something is missing or has changed.
    """
    data = context.folder / record.path
    if not (data / MANIFEST).exists():
        raise OperatorError(f"{data / MANIFEST} is missing.")
    if records.digest(data / MANIFEST) != record.sha256:
        raise OperatorError(f"{data / MANIFEST} has changed since it was made.")
    tablespaces.require_none(data)
    progress.run_with_progress(
        context.report_progress,
        f"check {record.id}",
        [context.program("pg_verifybackup"), "--no-parse-wal", "--progress", str(data)],
    )
