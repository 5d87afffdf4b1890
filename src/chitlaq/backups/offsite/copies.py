"""Encrypted off-site copies: read back after writing, deleted by the retention policy of the backups.

The layout of an off-site location, below the folder or prefix of one machine:

- ``owner``: the machine that may write there;
- ``backups/ID.age``: a dump or configuration backup; of a base backup its folder as ``tar.zst``;
- ``log/SYSTEM/NAME.age``: a file of the WAL archive, below the system identifier of the server that
  wrote it, since file names repeat between servers;
- ``records/ID.age``: the record of a backup whose copy is complete.

All objects are encrypted to `backups.recipients`, so that the operator of the location learns only
names, sizes and times, and this machine cannot read its own copies either. A local registry therefore
lists them: the records of all copies and the SHA-256 of each WAL file, in ``elsewhere/`` in the backup
folder.
"""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, cast

import msgspec
import zstandard

from chitlaq.backups.catalog import records, retention, status
from chitlaq.backups.catalog.records import Catalog, OffsiteCopy, Record
from chitlaq.backups.catalog.retention import RetentionPolicy
from chitlaq.backups.context import BackupContext, require_free_space
from chitlaq.backups.offsite import encryption, object_store
from chitlaq.backups.wal import archive, ledger
from chitlaq.backups.wal.archive import Segment
from chitlaq.core.data.object_store import ObjectStore
from chitlaq.core.errors import OperatorError

# The registry's entry for a WAL file whose copying has begun but may not have finished.
BEGUN = "begun"


def registry_folder(context: BackupContext, url: str) -> Path:
    """The folder with the registry of the copies at a location."""
    return context.folder / "elsewhere" / hashlib.sha256(url.encode()).hexdigest()[:12]


def known_copies(context: BackupContext) -> Catalog:
    """The backups that have copies at the location, with their local proof results."""
    where = context.settings.backups.copy_to
    found = records.read(registry_folder(context, where))
    known = {one.id: one for one in found.good}
    for record in records.read(context.folder).good:
        if record.id in known or (record.copied is not None and record.copied.where == where):
            known[record.id] = record
    return Catalog(sorted(known.values(), key=lambda one: one.created_at), found.damaged)


def copy_backup(context: BackupContext, record: Record) -> Record:
    """Copy a backup off-site and record the copy.

    Raises:
        OperatorError: no encryption key is set, the location cannot be written or belongs to another
            machine, or reading back returned other data.
    """
    target = object_store.open_owned(context)
    source = context.folder / record.path
    # A base backup also needs space for the packed folder.
    room = record.bytes * (2 if record.is_physical else 1)
    with draft_folder(context.folder, room, "Copying") as folder:
        draft = folder / "copy.age"
        if record.is_physical:
            packed = folder / "packed"
            _pack(source, packed)
            source = packed
        encrypt(context, source, draft)
        digest = object_store.put(context, target, f"backups/{record.id}.age", draft)
        size = draft.stat().st_size
        copied = msgspec.structs.replace(
            record,
            copied=OffsiteCopy(context.settings.backups.copy_to, datetime.now(UTC), size, digest),
        )
        description = folder / "record.age"
        description.write_bytes(
            encryption.encrypt(msgspec.json.encode(copied), context.settings.backups.recipients)
        )
        object_store.put(context, target, f"records/{record.id}.age", description)
    records.write(registry_folder(context, context.settings.backups.copy_to), copied)
    records.write(context.folder, copied)
    return copied


def copy_wal(context: BackupContext) -> int:
    """Copy complete WAL files that are not off-site yet; returns how many.

    The last of them may stay in Barman's streaming folder for long: the receiver needs it there.

    Raises:
        OperatorError: as `copy_backup`; or the location has a file of that name that is not ours.
    """
    target = object_store.open_owned(context)
    files = archive.complete_files(context.barman_folder)
    known = registry_folder(context, context.settings.backups.copy_to)
    done, foreign = 0, list[str]()
    damaged = list[str]()
    system = archive.system_identifier(files)
    if system is not None:
        there = object_store.list_objects(target, f"log/{system}/")
        entered, fulls = ledger.read(known), known_copies(context).of("full")
        with draft_folder(context.folder, archive.SEGMENT_BYTES * 2, "Copying WAL") as folder:
            for path in files:
                name = f"{system}/{path.name}"
                if not _is_wanted(name, fulls, str(system)):
                    continue
                entry = entered.get(name) if f"log/{name}.age" in there else BEGUN
                if entry == BEGUN:
                    try:
                        digest = _validated_digest(path, system)
                    except OperatorError as error:
                        damaged.append(str(error))
                        continue
                    _copy_wal_file(context, target, path, name, digest, folder)
                    done += 1
                elif entry is None or _differs(path, entry):
                    foreign.append(name)
    if foreign:
        raise OperatorError(
            f"{len(foreign)} WAL files at the off-site location were not copied from here, but have names"
            f" of files from here: {foreign[0]}. If this machine's files are the right ones:"
            " `chitlaq backup take-over`."
        )
    if damaged:
        raise OperatorError(f"{len(damaged)} WAL files were not copied: {damaged[0]}")
    status.record_wal_copied(context)
    return done


def _differs(path: Path, digest: str) -> bool:
    """Whether a file is not the one that was copied under its name.

    A server that leaves a timeline writes its history file first, so comparing these small files is enough.
    """
    return path.suffix == ".history" and archive.content_digest(path) != digest


def _validated_digest(path: Path, system: int) -> str:
    """The SHA-256 of the uncompressed content of a WAL file.

    Raises:
        OperatorError: it is damaged, or from another server.
    """
    if path.suffix != ".history" and archive.segment_system_identifier(path) != system:
        raise OperatorError(f"{path} is from another server than the newest WAL file.")
    return archive.content_digest(path)


def _copy_wal_file(
    context: BackupContext, target: ObjectStore, path: Path, name: str, digest: str, folder: Path
) -> None:
    known = registry_folder(context, context.settings.backups.copy_to)
    known.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Entered first: a copy cut short by a kill is then known to be ours, and repeated.
    ledger.add(known, {name: BEGUN})
    draft, packed = folder / "log.age", folder / "log.zst"
    with packed.open("wb") as plain:
        archive.compress(path, plain)
    encrypt(context, packed, draft)
    object_store.put(context, target, f"log/{name}.age", draft)
    ledger.add(known, {name: digest})


def take_over(context: BackupContext) -> None:
    """Make the location this machine's own; its files replace those of the same name.

    Raises:
        OperatorError: the location cannot be reached.
    """
    object_store.take_over(context)
    known = registry_folder(context, context.settings.backups.copy_to)
    known.mkdir(parents=True, exist_ok=True, mode=0o700)
    there = {
        _registry_name(name)
        for name in object_store.list_objects(object_store.open_owned(context), "log/")
    }
    files = archive.complete_files(context.barman_folder)
    ours, entered = (
        {f"{archive.system_identifier(files)}/{path.name}": path for path in files},
        ledger.read(known),
    )
    ledger.add(
        known,
        {
            name: BEGUN
            for name in sorted(there)
            # Files that were fetched from there, or copied from here, are identical.
            if name not in entered or (name in ours and _differs(ours[name], entered[name]))
        },
    )


def delete(context: BackupContext, record: Record) -> None:
    """Delete a copy.

    Raises:
        OperatorError: the location cannot be reached, or belongs to another machine.
    """
    target = object_store.open_owned(context)
    # The record first: a copy without a record does not count.
    for name in (f"records/{record.id}.age", f"backups/{record.id}.age"):
        object_store.delete(target, name)
    records.delete(registry_folder(context, context.settings.backups.copy_to), record)
    local = records.read(context.folder).get(record.id)
    if local is not None:
        records.write(context.folder, msgspec.structs.replace(local, copied=None))


def prune(context: BackupContext, policy: RetentionPolicy, now: datetime) -> int:
    """Delete expired copies and the WAL that no remaining copy needs; returns how many.

    Raises:
        OperatorError: a copy could not be deleted. The others were; the next run retries.
    """
    gone = [
        one.record
        for one in retention.decide(known_copies(context), policy, now)
        if not one.is_kept
    ]
    failed = []
    # Incremental backups go before the backups that they depend on.
    for record in reversed(gone):
        try:
            delete(context, record)
        except OperatorError as error:
            failed.append(str(error))
    if failed:
        raise OperatorError(
            f"{len(failed)} of {len(gone)} copies could not be deleted: {failed[0]}"
        )
    return len(gone) + trim_wal(context)


def trim_wal(context: BackupContext) -> int:
    """Delete WAL copies that no copied base backup needs; returns how many.

    Nothing is deleted if the location has base backups that the registry does not know: they may need it.

    Raises:
        OperatorError: the location cannot be reached, or belongs to another machine.
    """
    target = object_store.open_owned(context)
    fulls = known_copies(context).of("full")
    there = {
        name.removeprefix("records/").removesuffix(".age")
        for name in object_store.list_objects(target, "records/")
        if name.startswith("records/full_")
    }
    if not fulls or there - {one.id for one in fulls}:
        return 0
    current = archive.system_identifier(archive.complete_files(context.barman_folder))
    of_log = object_store.list_objects(target, "log/")
    gone = [name for name in of_log if not _is_wanted(_registry_name(name), fulls, str(current))]
    for name in gone:
        object_store.delete(target, name)
    if gone:
        left = {_registry_name(name) for name in of_log.keys() - gone}
        ledger.prune(registry_folder(context, context.settings.backups.copy_to), left)
    return len(gone)


def _is_wanted(name: str, fulls: Iterable[Record], current: str) -> bool:
    """Whether a copied base backup, or the next one, may need a WAL copy."""
    system, _, plain = name.rpartition("/")
    if not archive.is_segment(plain):
        return True
    begins = _first_segments(fulls, system)
    if not begins:
        return system == current
    return any(Segment.from_name(plain).number >= begin for begin in begins)


def _first_segments(fulls: Iterable[Record], system: str) -> list[int]:
    """The first segments that copied base backups of a server need.

    Old records do not name their server; such a backup may need any.
    """
    return [
        Segment.from_name(one.begin_wal).number
        for one in fulls
        if one.begin_wal and (one.system is None or str(one.system) == system)
    ]


def _registry_name(name: str) -> str:
    """The name of a WAL copy in the registry: ``SYSTEM/NAME``."""
    return name.removeprefix("log/").removesuffix(".age")


@contextmanager
def draft_folder(parent: Path, room: int, purpose: str) -> Iterator[Path]:
    """A folder for unfinished files, in the same place as the backups, since they may be as large as one.

    Raises:
        OperatorError: the disk is too small.
    """
    require_free_space(parent, room, purpose)
    folder = Path(tempfile.mkdtemp(prefix=".copying-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def encrypt(context: BackupContext, path: Path, target: Path) -> None:
    """Encrypt a file to all recipients."""
    with path.open("rb") as source, target.open("wb") as sealed:
        encryption.encrypt_stream(source, sealed, context.settings.backups.recipients)


def _pack(folder: Path, target: Path) -> None:
    """Write a folder as ``tar.zst``, with relative names."""
    with (
        target.open("wb") as file,
        zstandard.ZstdCompressor(level=3, threads=1).stream_writer(file) as zipped,
        tarfile.open(fileobj=cast("IO[bytes]", zipped), mode="w|") as tar,
    ):
        tar.add(folder, arcname=".")
