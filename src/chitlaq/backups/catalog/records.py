"""The record of each backup: a JSON file beside the backups, so that it survives the loss of the database.

``records/ID.json`` holds the record and its SHA-256. A damaged record is not used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files

BackupKind = Literal["full", "incremental", "dump", "configuration"]
KINDS: tuple[BackupKind, ...] = ("full", "incremental", "dump", "configuration")
READ_BYTES = 1 << 20


class TableFingerprint(msgspec.Struct, frozen=True):
    """What is compared of a table: its row count, a checksum of its content, its newest ``created_at``."""

    rows: int
    content: str
    newest: str | None = None


class ProofResult(msgspec.Struct, frozen=True):
    """The result of a verification or drill. ``lost_seconds``: the data loss of a restore (RPO)."""

    at: datetime
    is_good: bool
    detail: str
    seconds: float
    lost_seconds: float | None = None


class OffsiteCopy(msgspec.Struct, frozen=True):
    """An encrypted off-site copy, read back after it was written."""

    where: str
    at: datetime
    bytes: int
    sha256: str


class Record(msgspec.Struct, frozen=True):
    """A backup.

    Args:
        id: its name, and that of its file or folder.
        created_at: when its data was current; for a base backup, when it began.
        seconds: how long it took.
        path: relative to the backup folder.
        bytes: its size on disk.
        sha256: of the file; for a base backup, of PostgreSQL's manifest.
        postgres: the server's version, such as ``180006``.
        migration: the database's last migration.
        tables: the content of a dump.
        database_bytes: the size of the dumped database; 0 if unknown.
        roles: the dumped server's roles besides our own, which a dump names but does not contain.
        parent: the backup that an incremental one depends on.
        begin_wal: the first WAL segment that a restore needs.
        end_wal: the last WAL segment without which no restore is possible.
        timeline: of a base backup, its WAL timeline.
        system: of a base backup, the server's system identifier.
        lost: what `presence` sees to be wrong with its files; not stored.
        changed_at: when they were changed, if that was after the last look that found them good; not stored.
    """

    id: str
    kind: BackupKind
    created_at: datetime
    seconds: float
    path: str
    bytes: int
    sha256: str
    postgres: int = 0
    migration: str = ""
    tables: Mapping[str, TableFingerprint] = {}
    database_bytes: int = 0
    roles: tuple[str, ...] = ()
    parent: str | None = None
    begin_wal: str | None = None
    end_wal: str | None = None
    timeline: int | None = None
    system: int | None = None
    verified: ProofResult | None = None
    drilled: ProofResult | None = None
    copied: OffsiteCopy | None = None
    lost: str = ""
    changed_at: datetime | None = None

    @property
    def is_physical(self) -> bool:
        return self.kind in {"full", "incremental"}

    @property
    def is_proved(self) -> bool:
        """Whether the last verification and the last drill, as far as there were any, succeeded."""
        results = [one for one in (self.verified, self.drilled) if one is not None]
        return bool(results) and not self.is_bad

    @property
    def is_bad(self) -> bool:
        """Whether its files are lost, or the last verification or the last drill failed."""
        return self.last_failure is not None

    @property
    def last_failure(self) -> ProofResult | None:
        """The latest of the last verification and the last drill that failed, or that its files are lost."""
        failed = [one for one in (self.verified, self.drilled) if one and not one.is_good]
        if self.lost and not failed:
            return ProofResult(datetime.now(UTC), False, self.lost, 0.0)
        return max(failed, key=lambda one: one.at, default=None)


class MissingParentError(OperatorError):
    """A backup depends on one that is missing."""


class Catalog(msgspec.Struct, frozen=True):
    """All backups, oldest first, and the IDs of damaged records."""

    good: Sequence[Record]
    damaged: Sequence[str]

    def of(self, *kinds: BackupKind) -> list[Record]:
        return [record for record in self.good if record.kind in kinds]

    def newest(self, *kinds: BackupKind) -> Record | None:
        found = self.of(*kinds)
        return found[-1] if found else None

    def get(self, name: str) -> Record | None:
        return next((record for record in self.good if record.id == name), None)

    def chain(self, record: Record) -> list[Record]:
        """An incremental backup and the backups that it depends on, the full one first.

        Raises:
            MissingParentError: one of them is missing.
        """
        chain = [record]
        while (parent := chain[0].parent) is not None:
            found = self.get(parent)
            if found is None:
                raise MissingParentError(f"{chain[0].id} depends on {parent}, which is missing.")
            chain.insert(0, found)
        return chain


class _Sealed(msgspec.Struct):
    record: msgspec.Raw
    sha256: str


def read(folder: Path) -> Catalog:
    """Read the records in a backup folder."""
    good: list[Record] = []
    damaged: list[str] = []
    for path in sorted((folder / "records").glob("*.json")):
        try:
            sealed = msgspec.json.decode(path.read_bytes(), type=_Sealed)
            if hashlib.sha256(bytes(sealed.record)).hexdigest() != sealed.sha256:
                raise ValueError
            record = msgspec.json.decode(sealed.record, type=Record)
            if record.id != path.stem:
                raise ValueError
            good.append(record)
        except (OSError, ValueError):
            damaged.append(path.stem)
    return Catalog(sorted(good, key=lambda record: record.created_at), damaged)


def write(folder: Path, record: Record) -> None:
    """Store a record, replacing the previous one of the same backup."""
    place = folder / "records"
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = msgspec.json.encode(msgspec.structs.replace(record, lost="", changed_at=None))
    sealed = _Sealed(msgspec.Raw(text), hashlib.sha256(text).hexdigest())
    files.write(place / f"{record.id}.json", msgspec.json.encode(sealed))


def delete(folder: Path, record: Record) -> None:
    (folder / "records" / f"{record.id}.json").unlink(missing_ok=True)


def digest(path: Path, tell: Callable[[int], None] = lambda _: None) -> str:
    """The SHA-256 of a file; calls ``tell`` with the number of bytes read so far."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(READ_BYTES):
            found.update(chunk)
            tell(file.tell())
    return found.hexdigest()
