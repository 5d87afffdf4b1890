"""The worst day's first step: copies are brought home; at their place nothing is changed.

A copy is believed when it is what its record says, and a record only where it leads into the folder of
backups: whoever has the public key and may write to the place could have put one there. What cannot be
brought is left out and named, and the next newest of its kind is brought instead.
"""

from __future__ import annotations

import re
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import msgspec
import zstandard

from chitlaq.backups import configuration, safe_extract
from chitlaq.backups.catalog import records, status
from chitlaq.backups.catalog.records import Catalog, Kind, Record
from chitlaq.backups.context import (
    BackupContext,
    make_private_folder,
    private_umask,
    require_free_space,
    run_program,
)
from chitlaq.backups.offsite import copies, object_store
from chitlaq.backups.offsite.object_store import ObjectStore
from chitlaq.backups.postgres import base_backup, dump
from chitlaq.backups.wal import archive
from chitlaq.backups.wal.archive import Segment
from chitlaq.core.errors import OperatorError
from chitlaq.stack.servers import barman

_NAME = re.compile(r"[A-Za-z]+_[A-Za-z0-9_]+")
# What reading an archive raises that was written by who knows whom.
_UNREADABLE = (OSError, tarfile.TarError, zstandard.ZstdError, zlib.error, EOFError, ValueError)
_SUFFIXES: Mapping[Kind, str] = {"dump": ".sql", "configuration": ".tar.gz"}


@dataclass(slots=True)
class RemoteCopies:
    """What lies at a place of copies.

    Args:
        url: the place.
        source: it, opened.
        sizes: the bytes of each object, by its name.
        identity: the private key.
        found: the records that could be read.
        failed: why something could not be brought, by its name.
        drafts: a folder for what is on its way.
    """

    url: str
    source: ObjectStore
    sizes: Mapping[str, int]
    identity: str
    found: Catalog
    failed: dict[str, str]
    drafts: Path

    def decrypted(self, name: str, folder: Path) -> Path:
        plain = folder / "plain"
        object_store.fetch_decrypted(self.source, name, self.identity, plain)
        return plain


@contextmanager
def open_copies(context: BackupContext, url: str, identity: str) -> Iterator[RemoteCopies]:
    """Read the records of all copies.

    Raises:
        OperatorError: there are none, the key is not the one, or no record can be read.
    """
    source = object_store.open_store(context.settings.backups, url)
    sizes = object_store.list_objects(source, "")
    names = [name for name in sizes if name.startswith("records/")]
    if not names:
        raise OperatorError(f"{url} holds no copies of backups.")
    context.home.backup.mkdir(parents=True, exist_ok=True, mode=0o700)
    with copies.draft_folder(context.home.backup, 0, "What is fetched") as folder:
        found: list[Record] = []
        failed: dict[str, str] = {}
        for name in names:
            try:
                found.append(_read_record(source, name, identity, folder))
            except OperatorError as error:
                failed[name] = _reason(name, error)
        if not found:
            name, why = next(iter(failed.items()))
            raise OperatorError(f"{name}: {why}")
        ordered = sorted(found, key=lambda record: record.created_at)
        yield RemoteCopies(url, source, sizes, identity, Catalog(ordered, []), failed, folder)


def fetch_settings(context: BackupContext, remote: RemoteCopies) -> list[str]:
    """Put back the settings, secrets and uploads that are not here, from the newest copy of them.

    They come first: they may say where backups lie.
    """
    for record in reversed(remote.found.of("configuration")):
        name = f"backups/{record.id}.age"
        try:
            require_free_space(remote.drafts, remote.sizes.get(name, 0) * 3, "What is fetched")
            plain = _decrypt_file(remote, record, remote.drafts).rename(remote.drafts / record.id)
            return configuration.restore(plain, context.home.root, remote.identity)
        except (OperatorError, *_UNREADABLE) as error:
            remote.failed[name] = _reason(name, error)
    return []


def fetch_backups(
    context: BackupContext, remote: RemoteCopies, *, is_all: bool = False
) -> list[Record]:
    """Bring what a restore needs: the newest base backup with its log, dump and configuration.

    What is here already and is the same stays, with what was found of it here. Of what was brought
    nobody has found anything here yet.

    Args:
        context: the installation, with the settings that came back.
        copies: where from.
        is_all: whether all older ones are brought as well.

    Raises:
        OperatorError: there is no room.
    """
    make_private_folder(context.folder)
    known = copies.registry_folder(context, remote.url)
    for record in remote.found.good:
        records.write(known, record)
    wanted = {
        name: [_chain(remote, one) for one in reversed(remote.found.of(*kinds))]
        for name, kinds in status.KINDS.items()
    }
    first = [chain for chains in wanted.values() for chain in (chains if is_all else chains[:1])]
    _require_space(context, remote, first)
    done: dict[str, Record | None] = {}
    with copies.draft_folder(context.folder, 0, "What is fetched") as folder:
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
        brought = [record for record in done.values() if record is not None]
        _fetch_wal(context, remote, [one for one in brought if one.is_physical], folder)
    _update_links(context)
    return sorted(brought, key=lambda record: record.created_at)


def _read_record(source: ObjectStore, name: str, identity: str, folder: Path) -> Record:
    """Read the record of a copy.

    Raises:
        OperatorError: it cannot be read, or leads elsewhere than into the folder of backups.
    """
    plain = folder / "record"
    object_store.fetch_decrypted(source, name, identity, plain)
    try:
        record = msgspec.json.decode(plain.read_bytes(), type=Record)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise OperatorError(f"{name} is no record.") from None
    path = (
        rf"physical/{barman.SERVER}/base/\w+/data"
        if record.is_physical
        else re.escape(record.id + _SUFFIXES[record.kind])
    )
    if (
        name != f"records/{record.id}.age"
        or not _NAME.fullmatch(record.id)
        or not re.fullmatch(path, record.path, re.ASCII)
        or not all(archive.is_segment(one) for one in (record.begin_wal, record.end_wal) if one)
    ):
        raise OperatorError(f"{name} is not as records are written: it is not believed.")
    return record


def _chain(remote: RemoteCopies, record: Record) -> list[Record]:
    """A backup and what it adds to, as far as that is known."""
    try:
        return remote.found.chain(record)
    except KeyError as missing:
        remote.failed[record.id] = f"It adds to {missing.args[0]}, of which there is no record."
        return [record]


def _require_space(
    context: BackupContext, remote: RemoteCopies, chains: Sequence[Sequence[Record]]
) -> None:
    wanted = {one.id: one for chain in chains for one in chain}
    missing = [one for one in wanted.values() if not (context.folder / one.path).exists()]
    # What is on its way lies here encrypted and decrypted.
    largest = max((remote.sizes.get(f"backups/{one.id}.age", 0) for one in missing), default=0)
    begins = [one for one in wanted.values() if one.is_physical]
    of_log = sum(remote.sizes[name] for name in _wal_objects(remote, begins).values())
    require_free_space(
        context.folder, sum(one.bytes for one in missing) + of_log + 2 * largest, "What is fetched"
    )


def _try_fetch(
    context: BackupContext, remote: RemoteCopies, record: Record, folder: Path
) -> Record | None:
    """Bring a backup unless it is here; what hinders that is noted."""
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
        remote.failed[name] = _reason(name, error)
        return None
    # What was found of it on another machine says nothing of what is here.
    judged = kept or msgspec.structs.replace(record, verified=None, drilled=None)
    records.write(context.folder, judged)
    context.report_progress(f"fetch {record.id}", record.bytes, record.bytes)
    return judged


def _is_same(context: BackupContext, record: Record) -> bool:
    """Whether what is here is what the record says, byte by byte."""
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
    """Raise where the archive here is another server's: its log has the same names."""
    folder = barman.folder(context.home, context.settings)
    system = archive.system_identifier(archive.complete_files(folder))
    if system is not None and record.system is not None and system != record.system:
        raise OperatorError(
            f"it is of another server ({record.system}) than the log in {folder} ({system}). To bring"
            " it, move that folder away, or choose another one: CHITLAQ_BACKUPS_FOLDER."
        )


def _decrypt_file(remote: RemoteCopies, record: Record, folder: Path) -> Path:
    """The decrypted copy of a dump or a configuration."""
    plain = remote.decrypted(f"backups/{record.id}.age", folder)
    if records.digest(plain) != record.sha256:
        raise OperatorError("it is not what was backed up.")
    return plain


def _fetch_file(context: BackupContext, remote: RemoteCopies, record: Record, folder: Path) -> None:
    plain = remote.drafts / record.id
    if not plain.exists():
        plain = _decrypt_file(remote, record, folder)
    draft = folder / "moved"
    # The settings may have been fetched to another disk, before they said where backups lie.
    shutil.move(plain, draft)
    draft.rename(context.folder / record.path)


def _fetch_folder(
    context: BackupContext, remote: RemoteCopies, record: Record, folder: Path
) -> None:
    plain = remote.decrypted(f"backups/{record.id}.age", folder)
    target = context.folder / record.path
    draft = target.with_name("data.draft")
    shutil.rmtree(draft, ignore_errors=True)
    with (
        private_umask(),
        plain.open("rb") as file,
        zstandard.ZstdDecompressor().stream_reader(file) as unzipped,
        tarfile.open(fileobj=cast("IO[bytes]", unzipped), mode="r|") as tar,
    ):
        draft.mkdir(parents=True)
        safe_extract.extract_all(tar, draft)
    if records.digest(draft / base_backup.MANIFEST) != record.sha256:
        shutil.rmtree(draft)
        raise OperatorError("it is not what was backed up.")
    shutil.rmtree(target, ignore_errors=True)
    draft.rename(target)


def _wal_objects(remote: RemoteCopies, backups: Sequence[Record]) -> dict[str, str]:
    """The copied files of the log that base backups need, by their names, and where they lie."""
    begins = [one.begin_wal for one in backups if one.begin_wal]
    if not begins:
        return {}
    first = min(Segment.from_name(name).number for name in begins)
    found = {}
    # Before records named their server its log lay in no folder of its own.
    for prefix in ("log/", *{f"log/{one.system}/" for one in backups if one.system}):
        for name in remote.sizes:
            plain = name.removeprefix(prefix).removesuffix(".age")
            is_segment = archive.is_segment(plain) and Segment.from_name(plain).number >= first
            if is_segment or archive.is_history(plain):
                found[plain] = name
    return found


def _fetch_wal(
    context: BackupContext, remote: RemoteCopies, backups: Sequence[Record], folder: Path
) -> None:
    if not backups:
        return
    base = barman.folder(context.home, context.settings)
    system = base_backup.system_identifier(context.folder / backups[-1].path)
    known, copied = archive.read_ledger(base), copies.registry_folder(context, remote.url)
    for plain_name, name in _wal_objects(remote, backups).items():
        hashed = "" if archive.is_history(plain_name) else plain_name[:16]
        target = base / "wals" / hashed / plain_name
        if target.exists() and records.digest(target) == known.get(plain_name):
            continue
        context.report_progress(f"fetch {plain_name}", 0, remote.sizes[name])
        try:
            # With its name, by which the log knows what it is.
            plain = remote.decrypted(name, folder).rename(folder / plain_name)
            if (
                archive.is_segment(plain_name)
                and archive.segment_system_identifier(plain) != system
            ):
                raise OperatorError("another server wrote it.")
            digest, content = records.digest(plain), archive.content_digest(plain)
        except (OperatorError, OSError) as error:
            remote.failed[name] = _reason(name, error)
            continue
        with private_umask():
            target.parent.mkdir(parents=True, exist_ok=True)
        plain.rename(target)
        archive.add_to_ledger(base, {plain_name: digest})
        archive.add_to_ledger(copied, {f"{system}/{plain_name}": content})
        context.report_progress(f"fetch {plain_name}", remote.sizes[name], remote.sizes[name])


def _update_links(context: BackupContext) -> None:
    found = records.read(context.folder)
    for kind, link in (("dump", dump.LATEST), ("configuration", configuration.LATEST)):
        if newest := found.newest(cast("Kind", kind)):
            dump.point_link(context.folder / link, Path(newest.path))


def _reason(name: str, error: Exception) -> str:
    return str(error).removeprefix(f"{name}: ")
