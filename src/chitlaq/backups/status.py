"""How the backups are: what the command shows, the checks judge, and the metrics say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from chitlaq.backups import place, records
from chitlaq.backups.place import Place
from chitlaq.backups.records import Kind, Record

DATABASE: tuple[Kind, ...] = ("full", "incremental")


@dataclass(frozen=True, slots=True)
class Standing:
    """One kind of backup.

    Args:
        name: ``physical``, ``dump`` or ``configuration``.
        newest: the last that was made.
        verified_at, drilled_at: when one of the kind was last found good.
        bad: those of which the last look found something.
        count, bytes: how many there are, and what they take.
    """

    name: str
    newest: Record | None
    verified_at: datetime | None
    drilled_at: datetime | None
    last_drill: Record | None
    bad: tuple[Record, ...]
    count: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Status:
    """All kinds, and what is beside them."""

    folder: Path
    kinds: tuple[Standing, ...]
    damaged: tuple[str, ...]
    uncopied: tuple[Record, ...]

    def of(self, name: str) -> Standing:
        return next(one for one in self.kinds if one.name == name)


def look(here: Place) -> Status:
    """Read the records.

    Raises:
        OSError: the folder may not be looked at.
    """
    folder = here.folder
    if folder.exists():
        next(folder.iterdir(), None)
    found = records.read(folder)
    kinds = (
        _standing(here, "physical", found.of("full", "incremental")),
        _standing(here, "dump", found.of("dump")),
        _standing(here, "configuration", found.of("configuration")),
    )
    wanted = here.settings.backups.copy_to
    uncopied = [
        one.newest
        for one in kinds
        if wanted
        and one.newest
        and (one.newest.copied is None or one.newest.copied.where != wanted)
    ]
    return Status(folder, kinds, tuple(found.damaged), tuple(uncopied))


def _standing(here: Place, name: str, of_kind: list[Record]) -> Standing:
    verified = [r.verified.at for r in of_kind if r.verified is not None and r.verified.is_good]
    drilled = [r.drilled.at for r in of_kind if r.drilled is not None and r.drilled.is_good]
    with_drill = [r for r in of_kind if r.drilled is not None and r.drilled.is_good]
    bad = [
        r
        for r in of_kind
        if any(look is not None and not look.is_good for look in (r.verified, r.drilled))
    ]
    return Standing(
        name,
        of_kind[-1] if of_kind else None,
        max(verified, default=None),
        max(drilled, default=None),
        max(with_drill, key=_when_drilled, default=None),
        tuple(bad),
        len(of_kind),
        sum(place.size_of(here.folder / r.path) if not r.is_physical else r.bytes for r in of_kind),
    )


def _when_drilled(record: Record) -> datetime:
    assert record.drilled is not None
    return record.drilled.at
