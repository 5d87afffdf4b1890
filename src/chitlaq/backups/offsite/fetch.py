"""Fetch off-site copies to a new machine: the first step of disaster recovery. The copies stay unchanged.

What cannot be fetched is skipped and reported, and the next newest of its kind is fetched instead.
"""

from __future__ import annotations

import shutil
import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, cast

import msgspec
import zstandard

from chitlaq.backups import configuration, safe_extract
from chitlaq.backups.catalog import records, status
from chitlaq.backups.catalog.records import BackupKind, Record
from chitlaq.backups.context import (
    BackupContext,
    make_private_folder,
    private_umask,
    require_free_space,
    run_program,
)
from chitlaq.backups.offsite import copies, encryption, picture_copies
from chitlaq.backups.offsite.remote_copies import RemoteCopies, open_copies
from chitlaq.backups.postgres import base_backup, dump
from chitlaq.backups.proof import verify
from chitlaq.backups.proof.verify import AlreadyVerified
from chitlaq.backups.steps import OnOutcome, StepOutcome, Steps
from chitlaq.backups.wal import archive, ledger
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files
from chitlaq.core.installation import settings_loading

# Raised by reading an archive of unknown origin.
_UNREADABLE = (OSError, tarfile.TarError, zstandard.ZstdError, zlib.error, EOFError, ValueError)


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was fetched.

    Args:
        context: the installation, with the settings that were fetched.
        files: settings and secrets that were put back.
        backups: the backups.
        outcomes: what could not be fetched, and the verification of each backup.
    """

    context: BackupContext
    files: Sequence[str]
    backups: Sequence[Record]
    outcomes: Sequence[StepOutcome]


def fetch(
    context: BackupContext, url: str, key_file: Path, on_outcome: OnOutcome, *, is_all: bool = False
) -> Fetched:
    """Fetch settings and backups from an off-site location, and verify the backups.

    Args:
        url: ``s3://bucket/prefix`` or a folder.
        key_file: holds the private key.
        on_outcome: called for each copy that cannot be fetched, and after each verification.
        is_all: also fetch backups that are older than a restore needs.

    Raises:
        OperatorError: there is nothing to fetch, the key does not fit, or the disk is too small.
    """
    with open_copies(context, url, encryption.read_identity(key_file)) as remote:
        files = fetch_settings(context, remote)
        # They may set another backup folder.
        context = replace(context, settings=settings_loading.load(context.home))
        backups = fetch_backups(context, remote, is_all=is_all)
        picture_copies.fetch(context, remote)
    steps = Steps(on_outcome)
    for name, reason in remote.failed.items():
        steps.add(StepOutcome(f"fetch {name}", is_good=False, detail=reason, seconds=0.0))
    seen = AlreadyVerified()
    for record in backups:
        steps.prove("verify", record, lambda one: verify.verify(context, one, seen))
    return Fetched(context, files, backups, steps.outcomes)


def fetch_settings(context: BackupContext, remote: RemoteCopies) -> list[str]:
    """Put back settings and secrets that are missing here, from the newest readable copy.

    Settings come first, since they may set another backup folder.
    """
    for record in reversed(remote.catalog.of("configuration")):
        name = f"backups/{record.id}.age"
        try:
            require_free_space(remote.drafts, remote.sizes.get(name, 0) * 3, "Fetching")
            plain = remote.decrypt_file(record, remote.drafts).rename(remote.drafts / record.id)
            return configuration.restore(plain, context.home.root, remote.identity)
        except (OperatorError, *_UNREADABLE) as error:
            remote.fail(name, error)
    return []


def fetch_backups(
    context: BackupContext, remote: RemoteCopies, *, is_all: bool = False
) -> list[Record]:
    """Fetch what a restore needs: the newest base backup with its WAL, dump and configuration.

    An identical local backup is kept, with its proof results. A fetched backup has none yet.

    Args:
        context: the installation, with the settings that were fetched.
        remote: the copies.
        is_all: also fetch older backups.

    Raises:
        OperatorError: the disk is too small.
    """
    make_private_folder(context.folder)
    known = copies.registry_folder(context, remote.url)
    for record in remote.catalog.good:
        records.write(known, record)
    wanted = {
        name: [remote.chain(one) for one in reversed(remote.catalog.of(*kinds))]
        for name, kinds in status.KINDS.items()
    }
    first = [chain for chains in wanted.values() for chain in (chains if is_all else chains[:1])]
    _require_space(context, remote, first)
    done: dict[str, Record | None] = {}
    with copies.draft_folder(context.folder, 0, "Fetching") as folder:
        for chains in wanted.values():
            for chain in chains:
                for record in chain:
                    if record.id not in done:
                        done[record.id] = _try_fetch(context, remote, record, folder)
                    if done[record.id] is None:
                        break
                else:
                    if not is_all:
                        break
        fetched = [record for record in done.values() if record is not None]
        _fetch_wal(context, remote, [one for one in fetched if one.is_physical], folder)
    _update_links(context)
    return sorted(fetched, key=lambda record: record.created_at)


def _require_space(
    context: BackupContext, remote: RemoteCopies, chains: Sequence[Sequence[Record]]
) -> None:
    wanted = {one.id: one for chain in chains for one in chain}
    missing = [one for one in wanted.values() if not (context.folder / one.path).exists()]
    # While a file is fetched, it exists both encrypted and decrypted.
    largest = max((remote.sizes.get(f"backups/{one.id}.age", 0) for one in missing), default=0)
    physical = [one for one in wanted.values() if one.is_physical]
    wal = sum(remote.sizes[name] for name in remote.wal_objects(physical).values())
    require_free_space(
        context.folder, sum(one.bytes for one in missing) + wal + 2 * largest, "Fetching"
    )


def _try_fetch(
    context: BackupContext, remote: RemoteCopies, record: Record, folder: Path
) -> Record | None:
    """Fetch a backup unless it is here already; note why if that fails."""
    name = f"backups/{record.id}.age"
    if name in remote.failed:
        return None
    context.report_progress(f"fetch {record.id}", 0, record.bytes)
    local = records.read(context.folder).get(record.id)
    try:
        if record.is_physical:
            _require_same_server(context, record)
        if _is_same(context, record) and not (local is not None and local.is_bad):
            kept = local if local is not None and local.sha256 == record.sha256 else None
        else:
            kept = None
            (_fetch_folder if record.is_physical else _fetch_file)(context, remote, record, folder)
    except (OperatorError, *_UNREADABLE) as error:
        remote.fail(name, error)
        return None
    # Results from another machine say nothing about the files on this one.
    fetched = kept or msgspec.structs.replace(record, verified=None, drilled=None)
    records.write(context.folder, fetched)
    context.report_progress(f"fetch {record.id}", record.bytes, record.bytes)
    return fetched


def _is_same(context: BackupContext, record: Record) -> bool:
    """Whether the local backup matches its record byte for byte."""
    path = context.folder / record.path
    try:
        if not record.is_physical:
            return records.digest(path) == record.sha256
        if records.digest(path / base_backup.MANIFEST) != record.sha256:
            return False
        run_program([context.program("pg_verifybackup"), "--no-parse-wal", "--quiet", str(path)])
    except (OperatorError, OSError):
        return False
    return True


def _require_same_server(context: BackupContext, record: Record) -> None:
    """Raise if the local WAL archive is another server's: its files have the same names."""
    folder = context.barman_folder
    system = archive.system_identifier(archive.complete_files(folder))
    if system is not None and record.system is not None and system != record.system:
        raise OperatorError(
            f"it is from another server ({record.system}) than the WAL in {folder} ({system}). To"
            " fetch it, move that folder away or set another one: CHITLAQ_BACKUPS_FOLDER."
        )


def _fetch_file(context: BackupContext, remote: RemoteCopies, record: Record, folder: Path) -> None:
    plain = remote.drafts / record.id
    if not plain.exists():
        plain = remote.decrypt_file(record, folder)
    draft = folder / "moved"
    # The configuration was fetched before its settings named the backup folder: perhaps to another disk.
    shutil.move(plain, draft)
    files.durable_rename(draft, context.folder / record.path)


def _fetch_folder(
    context: BackupContext, remote: RemoteCopies, record: Record, folder: Path
) -> None:
    plain = remote.decrypt(f"backups/{record.id}.age", folder)
    target = context.folder / record.path
    with (
        private_umask(),
        files.draft_folder(target) as draft,
        plain.open("rb") as file,
        zstandard.ZstdDecompressor().stream_reader(file) as unzipped,
        tarfile.open(fileobj=cast("IO[bytes]", unzipped), mode="r|") as tar,
    ):
        safe_extract.extract_all(tar, draft)
        if records.digest(draft / base_backup.MANIFEST) != record.sha256:
            raise OperatorError("it is not what was backed up.")
        shutil.rmtree(target, ignore_errors=True)


def _fetch_wal(
    context: BackupContext, remote: RemoteCopies, backups: Sequence[Record], folder: Path
) -> None:
    if not backups:
        return
    base = context.barman_folder
    system = base_backup.system_identifier(context.folder / backups[-1].path)
    known, copied = ledger.read(base), copies.registry_folder(context, remote.url)
    for file_name, name in remote.wal_objects(backups).items():
        hashed = "" if archive.is_history(file_name) else file_name[:16]
        target = base / "wals" / hashed / file_name
        if target.exists() and records.digest(target) == known.get(file_name):
            continue
        context.report_progress(f"fetch {file_name}", 0, remote.sizes[name])
        try:
            # The file needs its own name, from which its position in the WAL is read.
            plain = remote.decrypt(name, folder).rename(folder / file_name)
            if archive.is_segment(file_name) and archive.segment_system_identifier(plain) != system:
                raise OperatorError("another server wrote it.")
            digest, content = records.digest(plain), archive.content_digest(plain)
        except (OperatorError, OSError) as error:
            remote.fail(name, error)
            continue
        with private_umask():
            target.parent.mkdir(parents=True, exist_ok=True)
        files.durable_rename(plain, target)
        ledger.add(base, {file_name: digest})
        ledger.add(copied, {f"{system}/{file_name}": content})
        context.report_progress(f"fetch {file_name}", remote.sizes[name], remote.sizes[name])


def _update_links(context: BackupContext) -> None:
    catalog = records.read(context.folder)
    for kind, link in (("dump", dump.LATEST), ("configuration", configuration.LATEST)):
        if newest := catalog.newest(cast("BackupKind", kind)):
            files.point_to(context.folder / link, Path(newest.path))
