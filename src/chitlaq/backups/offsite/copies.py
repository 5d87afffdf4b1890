"""Encrypted copies elsewhere, read back after they are written, and deleted by the same rule as here.

What lies elsewhere, under the folder or prefix of one machine:

- ``owner``: the machine that may write there;
- ``backups/ID.age``: a dump or a configuration; of a physical backup its folder as a tar in zstd;
- ``log/SYSTEM/NAME.age``: a file of the archived log, under the system identifier of the server that
  wrote it, since another server's files have the same names;
- ``records/ID.age``: the record of a backup that is there whole.

Everything is encrypted to `backups.recipients`: who holds the place learns names, sizes and times, and
this machine cannot read its own copies either. So the register says what is there: the records of all
copies, and the SHA-256 of each file of the log, in ``elsewhere/`` beside the backups.
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
from chitlaq.backups.offsite.object_store import ObjectStore
from chitlaq.backups.wal import archive
from chitlaq.backups.wal.archive import Segment
from chitlaq.core.errors import OperatorError
from chitlaq.stack.servers import barman

# What the register says of a file of the log that is on its way, or was when a process was killed.
BEGUN = "begun"


def registry_folder(context: BackupContext, url: str) -> Path:
    """The folder in which stands what is known of the copies at a place."""
    return context.folder / "elsewhere" / hashlib.sha256(url.encode()).hexdigest()[:12]


def known_copies(context: BackupContext) -> Catalog:
    """The backups of which copies are at the place, with the verdicts that were found here."""
    where = context.settings.backups.copy_to
    found = records.read(registry_folder(context, where))
    known = {one.id: one for one in found.good}
    for record in records.read(context.folder).good:
        if record.id in known or (record.copied is not None and record.copied.where == where):
            known[record.id] = record
    return Catalog(sorted(known.values(), key=lambda one: one.created_at), found.damaged)


def copy_backup(context: BackupContext, record: Record) -> Record:
    """Copy a backup, and write down that it is there.

    Raises:
        OperatorError: there is no key to encrypt it to, the place cannot be written or is another
            machine's, or what is read back is not what was written.
    """
    target = object_store.open_owned(context)
    source = context.folder / record.path
    # Of a physical backup also the packed folder.
    room = record.bytes * (2 if record.is_physical else 1)
    with draft_folder(context.folder, room, "A copy") as folder:
        draft = folder / "copy.age"
        if record.is_physical:
            packed = folder / "packed"
            _pack(source, packed)
            source = packed
        _encrypt(context, source, draft)
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
    """Copy the files of the log that were received whole and are not there yet; returns how many.

    The last of them may lie where it was received for long: Barman leaves it there for the receiver.

    Raises:
        OperatorError: as `copy`; or a file of that name is there, and is not known to be this one.
    """
    target = object_store.open_owned(context)
    files = archive.complete_files(barman.folder(context.home, context.settings))
    known = registry_folder(context, context.settings.backups.copy_to)
    done, strange = 0, list[str]()
    damaged = list[str]()
    system = archive.system_identifier(files)
    if system is not None:
        there = object_store.list_objects(target, f"log/{system}/")
        entered, fulls = archive.read_ledger(known), known_copies(context).of("full")
        with draft_folder(context.folder, archive.SEGMENT_BYTES * 2, "A copy of the log") as folder:
            for path in files:
                name = f"{system}/{path.name}"
                if not _is_wanted(name, fulls, str(system)):
                    continue
                said = entered.get(name) if f"log/{name}.age" in there else BEGUN
                if said == BEGUN:
                    try:
                        digest = _validated_digest(path, system)
                    except OperatorError as error:
                        damaged.append(str(error))
                        continue
                    _copy_wal_file(context, target, path, name, digest, folder)
                    done += 1
                elif said is None or _differs(path, said):
                    strange.append(name)
    if strange:
        raise OperatorError(
            f"{len(strange)} files of the log are there under the names of others, which were not copied"
            f" from here: {strange[0]}. When this machine's are the right ones: `chitlaq backup"
            " take-over`."
        )
    if damaged:
        raise OperatorError(f"{len(damaged)} files of the log were not copied: {damaged[0]}")
    status.record_wal_copied(context)
    return done


def _differs(path: Path, digest: str) -> bool:
    """Whether a file is not the one that was copied under its name.

    Who leaves a timeline writes its history first, so the few small files tell.
    """
    return path.suffix == ".history" and archive.content_digest(path) != digest


def _validated_digest(path: Path, system: int) -> str:
    """The SHA-256 of what a file of the log holds.

    Raises:
        OperatorError: it is damaged, or another server's.
    """
    if path.suffix != ".history" and archive.segment_system_identifier(path) != system:
        raise OperatorError(f"{path} was written by another server than the newest of the log.")
    return archive.content_digest(path)


def _copy_wal_file(
    context: BackupContext, target: ObjectStore, path: Path, name: str, digest: str, folder: Path
) -> None:
    known = registry_folder(context, context.settings.backups.copy_to)
    known.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Before it is there: what a kill leaves is then known to be ours, and copied again.
    archive.add_to_ledger(known, {name: BEGUN})
    draft, packed = folder / "log.age", folder / "log.zst"
    with packed.open("wb") as plain:
        archive.compress(path, plain)
    _encrypt(context, packed, draft)
    object_store.put(context, target, f"log/{name}.age", draft)
    archive.add_to_ledger(known, {name: digest})


def take_over(context: BackupContext) -> None:
    """Make the place this machine's own. What is there under the names of its files gives way to them.

    Raises:
        OperatorError: the place cannot be reached.
    """
    object_store.take_over(context)
    known = registry_folder(context, context.settings.backups.copy_to)
    known.mkdir(parents=True, exist_ok=True, mode=0o700)
    there = {
        _registry_name(name)
        for name in object_store.list_objects(object_store.open_owned(context), "log/")
    }
    files = archive.complete_files(barman.folder(context.home, context.settings))
    ours, entered = (
        {f"{archive.system_identifier(files)}/{path.name}": path for path in files},
        archive.read_ledger(known),
    )
    archive.add_to_ledger(
        known,
        {
            name: BEGUN
            for name in sorted(there)
            # Those that were brought from there, or copied from here, are the same.
            if name not in entered or (name in ours and _differs(ours[name], entered[name]))
        },
    )


def delete(context: BackupContext, record: Record) -> None:
    """Delete a copy.

    Raises:
        OperatorError: the place cannot be reached, or is another machine's.
    """
    target = object_store.open_owned(context)
    # A copy without its record is none.
    for name in (f"records/{record.id}.age", f"backups/{record.id}.age"):
        object_store.delete(target, name)
    records.delete(registry_folder(context, context.settings.backups.copy_to), record)
    local = records.read(context.folder).get(record.id)
    if local is not None:
        records.write(context.folder, msgspec.structs.replace(local, copied=None))


def prune(context: BackupContext, rule: RetentionPolicy, now: datetime) -> int:
    """Delete the copies that are old enough, and the log that no other needs; returns how many went.

    Raises:
        OperatorError: one could not be deleted: the others were, and it is tried again next time.
    """
    gone = [
        one.record for one in retention.decide(known_copies(context), rule, now) if not one.is_kept
    ]
    failed = []
    # What adds to another goes before it.
    for record in reversed(gone):
        try:
            delete(context, record)
        except OperatorError as error:
            failed.append(str(error))
    if failed:
        raise OperatorError(f"{len(failed)} of {len(gone)} copies stay for now: {failed[0]}")
    return len(gone) + trim_wal(context)


def trim_wal(context: BackupContext) -> int:
    """Delete the copies of the log that no copy of a backup needs any more; returns how many.

    Nothing is deleted where there are copies of base backups of which nothing is known here: they
    may need it.

    Raises:
        OperatorError: the place cannot be reached, or is another machine's.
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
    current = archive.system_identifier(
        archive.complete_files(barman.folder(context.home, context.settings))
    )
    of_log = object_store.list_objects(target, "log/")
    gone = [name for name in of_log if not _is_wanted(_registry_name(name), fulls, str(current))]
    for name in gone:
        object_store.delete(target, name)
    if gone:
        left = {_registry_name(name) for name in of_log.keys() - gone}
        archive.prune_ledger(registry_folder(context, context.settings.backups.copy_to), left)
    return len(gone)


def _is_wanted(name: str, fulls: Iterable[Record], current: str) -> bool:
    """Whether a copied file of the log may be needed by the copy of a base backup, or by the next one."""
    system, _, plain = name.rpartition("/")
    if not archive.is_segment(plain):
        return True
    begins = _first_segments(fulls, system)
    if not begins:
        return system == current
    return any(Segment.from_name(plain).number >= begin for begin in begins)


def _first_segments(fulls: Iterable[Record], system: str) -> list[int]:
    """The first segments that copies of a server's base backups need.

    Those from before records named their server may need any.
    """
    return [
        Segment.from_name(one.begin_wal).number
        for one in fulls
        if one.begin_wal and (one.system is None or str(one.system) == system)
    ]


def _registry_name(name: str) -> str:
    """What a copied file of the log is called in the register: ``SYSTEM/NAME``."""
    return name.removeprefix("log/").removesuffix(".age")


@contextmanager
def draft_folder(parent: Path, room: int, purpose: str) -> Iterator[Path]:
    """A folder for what is on its way, beside the backups: it may be as large as one.

    Raises:
        OperatorError: there is no room.
    """
    require_free_space(parent, room, purpose)
    folder = Path(tempfile.mkdtemp(prefix=".copying-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _encrypt(context: BackupContext, path: Path, target: Path) -> None:
    with path.open("rb") as source, target.open("wb") as sealed:
        encryption.encrypt_stream(source, sealed, context.settings.backups.recipients)


def _pack(folder: Path, target: Path) -> None:
    """Write a folder as a tar in zstd, with the names that it had."""
    with (
        target.open("wb") as file,
        zstandard.ZstdCompressor(level=3, threads=1).stream_writer(file) as zipped,
        tarfile.open(fileobj=cast("IO[bytes]", zipped), mode="w|") as tar,
    ):
        tar.add(folder, arcname=".")
