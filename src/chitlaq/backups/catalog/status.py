"""The health of the backups, for the command, the checks and the metrics."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from chitlaq.backups.catalog import presence
from chitlaq.backups.catalog.records import BackupKind, Catalog, MissingParentError, Record
from chitlaq.backups.context import BackupContext
from chitlaq.core.host import files

KINDS: dict[str, tuple[BackupKind, ...]] = {
    "physical": ("full", "incremental"),
    "dump": ("dump",),
    "configuration": ("configuration",),
}
# The prefixes of IDs by kind, which identify a backup whose record is damaged.
_PREFIXES = {
    "physical": ("full_", "incremental_"),
    "dump": ("chitlaq_",),
    "configuration": ("config_",),
}


@dataclass(frozen=True, slots=True)
class KindStatus:
    """One kind of backup.

    Args:
        name: ``physical``, ``dump`` or ``configuration``.
        records: the backups, oldest first.
        damaged: the IDs of damaged records.
    """

    name: str
    records: tuple[Record, ...]
    damaged: tuple[str, ...]

    @property
    def newest(self) -> Record | None:
        return self.records[-1] if self.records else None

    @property
    def bad(self) -> tuple[Record, ...]:
        """Backups whose files are lost, or whose last verification or drill failed."""
        return tuple(record for record in self.records if record.is_bad)

    @property
    def changed(self) -> tuple[Record, ...]:
        """Backups whose files were changed since they were last known to be good."""
        return tuple(record for record in self.records if record.changed_at is not None)

    @property
    def last_verified(self) -> Record | None:
        """The backup that was last verified successfully."""
        good = [(r.verified.at, r) for r in self.records if r.verified and r.verified.is_good]
        return max(good, key=lambda pair: pair[0])[1] if good else None

    @property
    def last_drilled(self) -> Record | None:
        """The backup that was last drilled successfully."""
        good = [(r.drilled.at, r) for r in self.records if r.drilled and r.drilled.is_good]
        return max(good, key=lambda pair: pair[0])[1] if good else None

    @property
    def bytes(self) -> int:
        return sum(record.bytes for record in self.records)


@dataclass(frozen=True, slots=True)
class BackupStatus:
    """All kinds of backup, and the state of off-site copies.

    Args:
        folder: the backup folder.
        kinds: one entry per kind.
        uncopied: the newest backup of each kind, if it should have an off-site copy and has none.
        wal_copied_at: when all archived WAL was last copied off-site.
        refusal: why nothing may be written to the off-site location; empty if writing is allowed.
    """

    folder: Path
    kinds: tuple[KindStatus, ...]
    uncopied: tuple[Record, ...]
    wal_copied_at: datetime | None
    refusal: str

    def of(self, name: str) -> KindStatus:
        return next(one for one in self.kinds if one.name == name)


def read(context: BackupContext) -> BackupStatus:
    """Read the state of the backups.

    Raises:
        OSError: the backup folder cannot be read.
    """
    folder = context.folder
    if folder.exists():
        # A glob of an unreadable folder is empty instead of an error.
        for one in (folder, folder / "records"):
            if one.exists():
                next(one.iterdir(), None)
    catalog = presence.read(folder)
    kinds = tuple(_kind_status(catalog, name) for name in KINDS)
    return BackupStatus(
        folder, kinds, tuple(uncopied(context, catalog)), _wal_copied_at(context), _refusal(context)
    )


def uncopied(context: BackupContext, catalog: Catalog) -> list[Record]:
    """The newest backup of each kind, and those that it depends on, that should have an off-site copy."""
    destination = context.settings.backups.copy_to
    if not destination:
        return []
    chosen: dict[str, Record] = {}
    for kinds in KINDS.values():
        if newest := catalog.newest(*kinds):
            with suppress(MissingParentError):
                chosen |= {one.id: one for one in catalog.chain(newest)}
            chosen[newest.id] = newest
    return [one for one in chosen.values() if one.copied is None or one.copied.where != destination]


def _kind_status(catalog: Catalog, name: str) -> KindStatus:
    damaged = tuple(one for one in catalog.damaged if one.startswith(_PREFIXES[name]))
    return KindStatus(name, tuple(catalog.of(*KINDS[name])), damaged)


def record_wal_copied(context: BackupContext) -> None:
    """Record that all archived WAL is off-site."""
    note = context.home.backup / "log-copied"
    note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    files.write(note, context.settings.backups.copy_to)


def has_copied(context: BackupContext) -> bool:
    """Whether this machine has copied to the location before."""
    return _wal_copied_at(context) is not None


def record_refusal(context: BackupContext, why: str) -> None:
    """Record why the off-site location refuses writes; an empty ``why`` clears it."""
    note = context.home.backup / "copies-refused"
    if why:
        note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.write(note, why)
    else:
        note.unlink(missing_ok=True)


def _refusal(context: BackupContext) -> str:
    try:
        return (context.home.backup / "copies-refused").read_text()
    except OSError:
        return ""


def _wal_copied_at(context: BackupContext) -> datetime | None:
    note = context.home.backup / "log-copied"
    try:
        if note.read_text() != context.settings.backups.copy_to:
            return None
        return datetime.fromtimestamp(note.stat().st_mtime, UTC)
    except OSError:
        return None
