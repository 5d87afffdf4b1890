"""How the backups are: what the command shows, the checks judge, and the metrics say."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from chitlaq.backups.catalog import records
from chitlaq.backups.catalog.records import Catalog, Kind, Record
from chitlaq.backups.context import BackupContext
from chitlaq.core.host import files

KINDS: dict[str, tuple[Kind, ...]] = {
    "physical": ("full", "incremental"),
    "dump": ("dump",),
    "configuration": ("configuration",),
}
# How the ids of each kind begin: all that is known of a backup whose record is damaged.
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
        records: all of the kind, oldest first.
        damaged: the names of records of the kind that cannot be believed.
    """

    name: str
    records: tuple[Record, ...]
    damaged: tuple[str, ...]

    @property
    def newest(self) -> Record | None:
        return self.records[-1] if self.records else None

    @property
    def bad(self) -> tuple[Record, ...]:
        """Those of which the last look found something."""
        return tuple(record for record in self.records if record.is_bad)

    @property
    def last_verified(self) -> Record | None:
        """The one that was found good last."""
        good = [(r.verified.at, r) for r in self.records if r.verified and r.verified.is_good]
        return max(good, key=lambda pair: pair[0])[1] if good else None

    @property
    def last_drilled(self) -> Record | None:
        """The one that was restored and found the same last."""
        good = [(r.drilled.at, r) for r in self.records if r.drilled and r.drilled.is_good]
        return max(good, key=lambda pair: pair[0])[1] if good else None

    @property
    def bytes(self) -> int:
        return sum(record.bytes for record in self.records)


@dataclass(frozen=True, slots=True)
class BackupStatus:
    """All kinds, and what is beside them.

    Args:
        uncopied: of each kind the newest, where it should be elsewhere and is not.
        log_copied_at: when the archived log was last all elsewhere.
        refusal: why nothing may be written there; nothing when it may.
    """

    folder: Path
    kinds: tuple[KindStatus, ...]
    uncopied: tuple[Record, ...]
    wal_copied_at: datetime | None
    refusal: str

    def of(self, name: str) -> KindStatus:
        return next(one for one in self.kinds if one.name == name)


def read(context: BackupContext) -> BackupStatus:
    """Read the records.

    Raises:
        OSError: the folder may not be looked at.
    """
    folder = context.folder
    if folder.exists():
        # A glob finds nothing where it may not look.
        for one in (folder, folder / "records"):
            if one.exists():
                next(one.iterdir(), None)
    found = records.read(folder)
    kinds = tuple(_kind_status(found, name) for name in KINDS)
    return BackupStatus(
        folder, kinds, tuple(uncopied(context, found)), _wal_copied_at(context), _refusal(context)
    )


def uncopied(context: BackupContext, found: Catalog) -> list[Record]:
    """Of each kind the newest, and what it adds to, where they should be elsewhere and are not."""
    wanted = context.settings.backups.copy_to
    if not wanted:
        return []
    chosen: dict[str, Record] = {}
    for kinds in KINDS.values():
        if newest := found.newest(*kinds):
            with suppress(KeyError):
                chosen |= {one.id: one for one in found.chain(newest)}
            chosen[newest.id] = newest
    return [one for one in chosen.values() if one.copied is None or one.copied.where != wanted]


def _kind_status(found: Catalog, name: str) -> KindStatus:
    damaged = tuple(one for one in found.damaged if one.startswith(_PREFIXES[name]))
    return KindStatus(name, tuple(found.of(*KINDS[name])), damaged)


def record_wal_copied(context: BackupContext) -> None:
    """Note that all of the archived log is elsewhere."""
    note = context.home.backup / "log-copied"
    note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    files.write(note, context.settings.backups.copy_to)


def has_copied(context: BackupContext) -> bool:
    """Whether this machine itself has copied to the place before."""
    return _wal_copied_at(context) is not None


def record_refusal(context: BackupContext, why: str) -> None:
    """Note why nothing may be written elsewhere, or with nothing that it may."""
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
