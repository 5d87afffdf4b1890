"""Off-site copies as a new machine reads them, with only their location and the private key.

Nothing is trusted: anyone with the public key and write access could have put anything there. A copy
must match its record, and a record must point into the backup folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from chitlaq.backups.catalog import records
from chitlaq.backups.catalog.records import BackupKind, Catalog, MissingParentError, Record
from chitlaq.backups.context import BackupContext
from chitlaq.backups.offsite import copies, object_store
from chitlaq.backups.wal import archive
from chitlaq.backups.wal.archive import Segment
from chitlaq.core.data.object_store import ObjectStore
from chitlaq.core.errors import OperatorError
from chitlaq.stack.servers import barman

_ID = re.compile(r"[A-Za-z]+_[A-Za-z0-9_]+")
_SUFFIXES: Mapping[BackupKind, str] = {"dump": ".sql", "configuration": ".tar.gz"}


@dataclass(slots=True)
class RemoteCopies:
    """The copies at an off-site location.

    Args:
        url: the location.
        source: its object store.
        sizes: the size of each object in bytes, by name.
        identity: the private key.
        catalog: the records that could be read.
        failed: what could not be fetched, and why.
        drafts: a folder for unfinished files.
    """

    url: str
    source: ObjectStore
    sizes: Mapping[str, int]
    identity: str
    catalog: Catalog
    failed: dict[str, str]
    drafts: Path

    def fail(self, name: str, error: Exception) -> None:
        """Record that something could not be fetched."""
        self.failed[name] = _reason(name, error)

    def decrypt(self, name: str, folder: Path) -> Path:
        """Fetch and decrypt an object."""
        plain = folder / "plain"
        object_store.fetch_decrypted(self.source, name, self.identity, plain)
        return plain

    def decrypt_file(self, record: Record, folder: Path) -> Path:
        """Fetch and decrypt a dump or a configuration backup.

        Raises:
            OperatorError: it cannot be fetched, or is not what was backed up.
        """
        plain = self.decrypt(f"backups/{record.id}.age", folder)
        if records.digest(plain) != record.sha256:
            raise OperatorError("it is not what was backed up.")
        return plain

    def chain(self, record: Record) -> list[Record]:
        """A backup and those that it depends on, as far as there are records of them."""
        try:
            return self.catalog.chain(record)
        except MissingParentError as missing:
            self.failed[record.id] = str(missing)
            return [record]

    def wal_objects(self, backups: Sequence[Record]) -> dict[str, str]:
        """The WAL files that base backups need: the object's name by the file's name."""
        begins = [one.begin_wal for one in backups if one.begin_wal]
        if not begins:
            return {}
        first = min(Segment.from_name(name).number for name in begins)
        found = {}
        # Before records named their server, its WAL had no folder of its own.
        for prefix in ("log/", *{f"log/{one.system}/" for one in backups if one.system}):
            for name in self.sizes:
                plain = name.removeprefix(prefix).removesuffix(".age")
                is_needed = archive.is_segment(plain) and Segment.from_name(plain).number >= first
                if is_needed or archive.is_history(plain):
                    found[plain] = name
        return found


@contextmanager
def open_copies(context: BackupContext, url: str, identity: str) -> Iterator[RemoteCopies]:
    """Read the records of all copies.

    Raises:
        OperatorError: there are none, the key does not fit, or no record can be read.
    """
    source = object_store.open_store(context.settings.backups, url)
    sizes = object_store.list_objects(source, "")
    names = [name for name in sizes if name.startswith("records/")]
    if not names:
        raise OperatorError(f"{url} holds no copies of backups.")
    context.home.backup.mkdir(parents=True, exist_ok=True, mode=0o700)
    with copies.draft_folder(context.home.backup, 0, "Fetching") as folder:
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


def _read_record(source: ObjectStore, name: str, identity: str, folder: Path) -> Record:
    """Read the record of a copy.

    Raises:
        OperatorError: it cannot be read, or points outside the backup folder.
    """
    plain = folder / "record"
    object_store.fetch_decrypted(source, name, identity, plain)
    try:
        record = msgspec.json.decode(plain.read_bytes(), type=Record)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise OperatorError(f"{name} is not a record.") from None
    path = (
        rf"physical/{barman.SERVER}/base/\w+/data"
        if record.is_physical
        else re.escape(record.id + _SUFFIXES[record.kind])
    )
    if (
        name != f"records/{record.id}.age"
        or not _ID.fullmatch(record.id)
        or not re.fullmatch(path, record.path, re.ASCII)
        or not all(archive.is_segment(one) for one in (record.begin_wal, record.end_wal) if one)
    ):
        raise OperatorError(f"{name} is not a record as ChitLaq writes them: it is not trusted.")
    return record


def _reason(name: str, error: Exception) -> str:
    return str(error).removeprefix(f"{name}: ")
