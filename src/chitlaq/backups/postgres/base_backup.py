"""Physical backups: the server's files through Barman, and every change since as it was received."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import msgspec
import psycopg

from chitlaq.backups import progress
from chitlaq.backups.catalog import records
from chitlaq.backups.catalog.records import Kind, Record
from chitlaq.backups.context import (
    BackupContext,
    require_free_space,
    run_program,
    size_of,
    wal_lock,
)
from chitlaq.backups.wal import archive
from chitlaq.backups.wal.archive import Segment, WalArchive
from chitlaq.core.data import postgres
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.secrets import BACKUP
from chitlaq.stack.servers import barman

MANIFEST = "backup_manifest"
CONNECT_SECONDS = 5
RECEIVE_SECONDS = 60
POLL_SECONDS = 0.1


def take(context: BackupContext, *, full: bool) -> Record:
    """Take a base backup, or what changed since the last one.

    Where there is nothing to add to, or its timeline was left by a restore, it is a full one.

    Raises:
        OperatorError: the archive is switched off, there is no room, or Barman failed.
    """
    if not barman.is_wanted(context.settings):
        raise OperatorError(
            "Physical backups are of the embedded PostgreSQL, with backups.archive on: here it is"
            f" {'off' if context.settings.embeds('postgres') else 'elsewhere'}."
        )
    reconcile(context)
    _ensure_archive_started(context)
    parent = None if full else _incremental_parent(context)
    kind: Kind = "incremental" if parent else "full"
    expected = _expected_bytes(context, kind)
    require_free_space(context.folder, expected, f"A backup ({kind})")
    begun, moment = monotonic(), datetime.now(UTC)
    base = barman.folder(context.home, context.settings) / "base"
    before, known = size_of(base), {path.name for path in base.glob("*")}
    words = ["backup", "--immediate-checkpoint"]
    if parent:
        words += ["--incremental", barman_id(parent)]
    with progress.track_growth(context.report_progress, kind, base, before + expected):
        barman.run(context.home, context.settings, *words, barman.SERVER)
    made = sorted(path.name for path in base.glob("*") if path.name not in known)
    if not made:
        raise OperatorError(f"Barman says that it made a backup, and there is none in {base}.")
    data = data_folder(context, made[-1])
    record = msgspec.structs.replace(
        _describe(context, data),
        created_at=moment,
        seconds=monotonic() - begun,
        postgres=_server_version(context),
        parent=parent.id if parent else None,
    )
    assert record.end_wal is not None
    _wait_for_segment(context, record.end_wal)
    records.write(context.folder, record)
    with wal_lock(context.home):
        archive_wal(context)
    return record


def _describe(context: BackupContext, data: Path) -> Record:
    """The record of a base backup as it can be told from its files; it was not looked at.

    Raises:
        OperatorError: it has not come to its end.
    """
    timeline, begin, end = wal_range(data)
    label = (data / "backup_label").read_text(errors="replace")
    said = dict(line.split(": ", 1) for line in label.splitlines() if ": " in line)
    moment = datetime.strptime(said["START TIME"], "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC)
    ended = datetime.fromtimestamp((data / MANIFEST).stat().st_mtime, UTC)
    first = said.get("INCREMENTAL FROM LSN")
    kind: Kind = "full" if first is None else "incremental"
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
    """The name of the base backup that began at a position: what adds to it says no more of it.

    Raises:
        OperatorError: it is gone.
    """
    for data in data_folders(context):
        with suppress(OperatorError):
            if wal_range(data)[1] == position:
                kind = "incremental" if _is_incremental(data) else "full"
                return f"{kind}_{data.parent.name}"
    raise OperatorError(f"The backup that began at {archive.format_lsn(position)} is gone.")


def _is_incremental(data: Path) -> bool:
    return "INCREMENTAL FROM LSN" in (data / "backup_label").read_text(errors="replace")


class _Range(
    msgspec.Struct, rename={"timeline": "Timeline", "start": "Start-LSN", "end": "End-LSN"}
):
    timeline: int
    start: str
    end: str


class _Manifest(msgspec.Struct, rename={"ranges": "WAL-Ranges", "system": "System-Identifier"}):
    """What is read of a `backup_manifest`, which is written when a base backup has ended."""

    ranges: list[_Range]
    system: int


def wal_range(data: Path) -> tuple[int, int, int]:
    """The timeline of a base backup, and the positions between which a restore needs all of the log.

    Raises:
        OperatorError: it has not come to its end.
    """
    try:
        found = msgspec.json.decode((data / MANIFEST).read_bytes(), type=_Manifest).ranges
        first, last = found[0], found[-1]
        return last.timeline, archive.parse_lsn(first.start), archive.parse_lsn(last.end)
    except (FileNotFoundError, msgspec.DecodeError, IndexError, ValueError):
        raise OperatorError(
            f"{data} has no manifest: the backup did not come to its end."
        ) from None


def system_identifier(data: Path) -> int:
    """The system identifier of the server that a base backup is of.

    Raises:
        OperatorError: it has no manifest that says so.
    """
    try:
        return msgspec.json.decode((data / MANIFEST).read_bytes(), type=_Manifest).system
    except (OSError, msgspec.DecodeError):
        raise OperatorError(f"{data} has no manifest that says whose it is.") from None


def _server_version(context: BackupContext) -> int:
    """The server's version as it says it itself: 180006 of 18.6."""
    major, minor = run_program([context.program("postgres"), "--version"]).split()[2].split(".")[:2]
    return int(major) * 10_000 + int(minor)


def _ensure_archive_started(context: BackupContext) -> None:
    """Let the archive have a first segment: without one Barman does not believe that any will come.

    It leaves the newest that was received where it is, so two are completed.
    """
    if not archive.archived_files(barman.folder(context.home, context.settings)):
        switch_segment(context, "chitlaq_archive")
        switch_segment(context, "chitlaq_archive")
        with wal_lock(context.home):
            archive_wal(context)


def barman_id(record: Record) -> str:
    return record.id.partition("_")[2]


def data_folder(context: BackupContext, name: str) -> Path:
    return barman.folder(context.home, context.settings) / "base" / name / "data"


def data_folders(context: BackupContext) -> list[Path]:
    """The data directories of all base backups, whole or not."""
    return sorted(barman.folder(context.home, context.settings).glob("base/*/data"))


def archive_wal(context: BackupContext) -> int:
    """Move what was received whole to the archive, compressed; returns how many files are new there.

    Each is read once more and entered in the ledger, against which it is verified ever after.

    Raises:
        OperatorError: Barman failed, or a file that came is damaged.
    """
    folder = barman.folder(context.home, context.settings)
    if barman.waiting(context.home, context.settings):
        barman.run(context.home, context.settings, "archive-wal", barman.SERVER)
    known = archive.read_ledger(folder)
    new = {}
    for path in archive.archived_files(folder):
        if path.name in known:
            continue
        plain = _ByteCounter()
        archive.decompress(path, plain)  # type: ignore[arg-type]
        if not path.name.endswith(".history") and plain.size != archive.SEGMENT_BYTES:
            raise OperatorError(f"{path} holds {plain.size:,} bytes: it did not come whole.")
        new[path.name] = records.digest(path)
    if new:
        archive.add_to_ledger(folder, new)
    return len(new)


def switch_segment(context: BackupContext, mark: str = "") -> float:
    """Let the server begin a new segment of its log, and wait until the one before was received.

    Args:
        context: the installation.
        mark: a name to write into the log first; without one nothing is done where nothing was written.

    Returns the seconds that it took.

    Raises:
        OperatorError: the server is away, or the segment does not come.
    """
    url = postgres.dsn(context.settings, context.home, BACKUP, "postgres")
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_SECONDS, autocommit=True) as connection:
            if mark:
                connection.execute("SELECT pg_create_restore_point(%s)", [mark])
            begun = monotonic()
            # Where nothing was written since the last one that is where the next begins: the segment of
            # the byte before it is the one that comes.
            row = connection.execute("SELECT pg_walfile_name(pg_switch_wal() - 1)").fetchone()
    except psycopg.Error as error:
        raise OperatorError(f"PostgreSQL: {str(error).strip()}") from None
    assert row is not None
    _wait_for_segment(context, row[0])
    return monotonic() - begun


def _wait_for_segment(context: BackupContext, name: str) -> None:
    """Return when a segment of the log was received whole.

    Raises:
        OperatorError: it does not come.
    """
    begun = monotonic()
    folder = barman.folder(context.home, context.settings)
    while not (folder / "streaming" / name).exists() and not any(folder.glob(f"wals/*/{name}")):
        if monotonic() - begun > RECEIVE_SECONDS:
            raise OperatorError(
                f"The archive does not receive: segment {name} did not come within"
                f" {RECEIVE_SECONDS} s. See `chitlaq ps` and `chitlaq logs wal-archive`."
            )
        time.sleep(POLL_SECONDS)


class _ByteCounter:
    """Takes what is written and only counts it."""

    size = 0

    def write(self, data: bytes) -> int:
        self.size += len(data)
        return len(data)


def reconcile(context: BackupContext) -> list[str]:
    """Delete what a backup that was killed left behind, and give whole ones without a record one.

    What has a manifest came to its end. Nothing of it is deleted because of what is not known of it:
    the folder of records may be what was lost. Returns the names of new records.
    """
    found = records.read(context.folder)
    known = {barman_id(one) for one in found.of("full", "incremental")}
    known |= {name.partition("_")[2] for name in found.damaged}
    new = []
    for base in sorted(barman.folder(context.home, context.settings).glob("base/*")):
        if base.name in known:
            continue
        if not (base / "data" / MANIFEST).exists():
            delete(context, base.name)
            continue
        try:
            record = _describe(context, base / "data")
        except (OperatorError, OSError, ValueError, KeyError):
            # It stays where it is, and counts for nothing.
            continue
        records.write(context.folder, record)
        new.append(record.id)
    return new


def delete(context: BackupContext, name: str) -> None:
    """Delete a base backup, whether Barman has it in its catalogue or not.

    Barman itself would also delete the log from before the oldest backup that it knows, and it does not
    know those that were fetched: that is `trim_log`'s business.
    """
    folder = barman.folder(context.home, context.settings)
    # From here on it is none, however far this comes.
    (folder / "base" / name / "data" / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(folder / "base" / name, ignore_errors=True)
    barman.catalogued(context.home, context.settings, name).unlink(missing_ok=True)


def trim_wal(context: BackupContext) -> int:
    """Delete the archived log that no base backup needs any more; returns how many files went.

    Where a record cannot be believed, its backup may need any.
    """
    found = records.read(context.folder)
    begins = [one.begin_wal for one in found.of("full")]
    if not begins or None in begins or any(name.startswith("full_") for name in found.damaged):
        return 0
    first = min(Segment.from_name(name).number for name in begins if name)
    folder = barman.folder(context.home, context.settings)
    gone = [
        path
        for path in archive.archived_files(folder)
        if archive.is_segment(path.name) and Segment.from_name(path.name).number < first
    ]
    for path in gone:
        path.unlink()
    if gone:
        archive.prune_ledger(folder, {path.name for path in archive.archived_files(folder)})
    return len(gone)


def _incremental_parent(context: BackupContext) -> Record | None:
    """The backup that the next one adds to: the newest, where the server still is on its timeline.

    Barman must know it, and all that it adds to: it does not know what was fetched.
    """
    found = records.read(context.folder)
    newest = found.newest("full", "incremental")
    if newest is None or (newest.verified is not None and not newest.verified.is_good):
        return None
    try:
        chain = found.chain(newest)
    except KeyError:
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
    return archive.read_archive(barman.folder(context.home, context.settings), *extra)


def _expected_bytes(context: BackupContext, kind: Kind) -> int:
    last = records.read(context.folder).newest(kind)
    if last is not None:
        return last.bytes * 6 // 5
    return size_of(context.home.postgres_data) if kind == "full" else 0


def verify_files(context: BackupContext, record: Record) -> None:
    """Read a base backup, and compare each file with the manifest that PostgreSQL wrote with it.

    Raises:
        OperatorError: something is missing, or has changed.
    """
    data = context.folder / record.path
    if not (data / MANIFEST).exists():
        raise OperatorError(f"{data / MANIFEST} is gone.")
    if records.digest(data / MANIFEST) != record.sha256:
        raise OperatorError(f"{data / MANIFEST} has changed since it was made.")
    progress.run_with_progress(
        context.report_progress,
        f"check {record.id}",
        [context.program("pg_verifybackup"), "--no-parse-wal", "--progress", str(data)],
    )
