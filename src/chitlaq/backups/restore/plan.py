"""Plan a restore: which backup, along which timeline."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from chitlaq.backups.catalog import presence
from chitlaq.backups.catalog.records import Catalog, MissingParentError, Record
from chitlaq.backups.context import BackupContext
from chitlaq.backups.postgres import base_backup, recovery
from chitlaq.backups.wal.archive import WalArchive
from chitlaq.core.errors import OperatorError
from chitlaq.core.point_in_time import shown

ASIDE = "postgres.before-"
_PHYSICAL = ("full_", "incremental_")


class RestoreResult(msgspec.Struct, frozen=True):
    """The result of a restore.

    Args:
        backup: the record's ID.
        segments: the number of WAL segments that were staged.
        last_commit: when the last transaction in it was committed.
        rows: the rows of all tables.
        is_as_asked: it reached the requested point in time; else the WAL ended before.
        damage: why the WAL ends early, so that later changes are lost; empty if it does not.
        notes: which files were chosen where there were several.
        aside: where the previous data is; empty if there was none.
    """

    backup: str
    segments: int
    last_commit: datetime | None
    rows: int
    is_as_asked: bool = True
    damage: str = ""
    notes: Sequence[str] = ()
    aside: str = ""


class RestorePlan(msgspec.Struct, frozen=True):
    """What a restore will do.

    Args:
        backup: the record's ID.
        to_time: the requested point in time; None for the latest state.
        timeline: the timeline to roll a base backup forward along.
        aside: the name under which the current data directory is kept.
        is_up_to_damage: if the WAL is damaged, restore what precedes the damage.
        left: the current timeline, which leads back to the current data.
        passed_over: why each newer backup is not used.
        restored: set when the restored data is complete and the data directories are being swapped.
    """

    backup: str
    to_time: datetime | None
    timeline: int
    aside: str
    is_up_to_damage: bool = False
    left: int | None = None
    passed_over: Sequence[str] = ()
    restored: RestoreResult | None = None

    @property
    def is_swapping(self) -> bool:
        return self.restored is not None


def choose(
    context: BackupContext,
    name: str | None = None,
    to_time: datetime | None = None,
    timeline: int | None = None,
    *,
    is_up_to_damage: bool = False,
) -> RestorePlan:
    """Choose the backup and the timeline, without changing anything.

    Args:
        name: a backup; by default the newest that fits.
        to_time: the requested point in time.
        timeline: by default the one that was current at that time (`recovery.timeline_at`), or the newest.
        is_up_to_damage: as in `RestorePlan`.

    Raises:
        OperatorError: no backup fits, or the database is external.
    """
    if not context.settings.embeds("postgres"):
        raise OperatorError(
            "The database is external (DATABASE_URL), so its files cannot be restored here. Restore a"
            f" dump there with `pg_restore --dbname URL {context.folder}/latest_backup.sql`."
        )
    archive = base_backup.wal_archive(context)
    if timeline is not None and timeline not in archive.timelines:
        there = ", ".join(map(str, archive.timelines))
        raise OperatorError(f"The WAL has no timeline {timeline}. Timelines: {there or 'none'}.")
    catalog = presence.read(context.folder)
    if name is not None:
        record, line = _choose_named(context, catalog, archive, name, to_time, timeline)
        passed_over: list[str] = []
    else:
        record, line, passed_over = _choose_newest(context, catalog, archive, to_time, timeline)
    aside = f"{ASIDE}{datetime.now(UTC):%Y%m%dT%H%M%S}"
    left = max(archive.timelines, default=None) if record.is_physical else None
    return RestorePlan(record.id, to_time, line, aside, is_up_to_damage, left, passed_over)


def _target_timeline(
    context: BackupContext, archive: WalArchive, to_time: datetime | None, timeline: int | None
) -> int:
    if timeline is not None:
        return timeline
    if to_time is not None:
        return recovery.timeline_at(context, archive, to_time)
    return max(archive.timelines, default=1)


def _choose_named(
    context: BackupContext,
    catalog: Catalog,
    archive: WalArchive,
    name: str,
    to_time: datetime | None,
    timeline: int | None,
) -> tuple[Record, int]:
    record = catalog.get(name)
    if record is None or record.kind == "configuration":
        known = ", ".join(one.id for one in catalog.of("full", "incremental", "dump")[-5:])
        raise OperatorError(
            f"There is no backup {name} of the database. The newest are: {known or 'none'}."
        )
    if not record.is_physical:
        if to_time is not None or timeline is not None:
            raise OperatorError(
                f"{name} is a dump, from {shown(record.created_at)} only. Other points in time are"
                " restored from a base backup: leave out the name."
            )
        return record, 1
    if to_time is not None and not _is_complete_by(record, to_time):
        raise OperatorError(f"{name} was taken after {shown(to_time)}.")
    lines = recovery.reachable_timelines(context, archive, record)
    if to_time is None and timeline is None:
        return record, lines[-1]
    line = _target_timeline(context, archive, to_time, timeline)
    if line not in lines:
        raise OperatorError(
            f"{name} is on timeline {record.timeline} and does not lead to timeline {line}, which was"
            " requested or current at that time: leave out the name, or set --timeline."
        )
    return record, line


def _choose_newest(
    context: BackupContext,
    catalog: Catalog,
    archive: WalArchive,
    to_time: datetime | None,
    timeline: int | None,
) -> tuple[Record, int, list[str]]:
    """The newest backup that fits, and why newer ones are passed over.

    A dump is chosen only where there are no base backups: it lacks all later changes.
    """
    line = _target_timeline(context, archive, to_time, timeline)
    in_time = [
        record
        for record in catalog.of("full", "incremental")
        if to_time is None or _is_complete_by(record, to_time)
    ]
    leading = [
        record
        for record in in_time
        if line in recovery.reachable_timelines(context, archive, record)
    ]
    damaged = [f"{name}: its record is damaged." for name in catalog.damaged]
    why_not = {
        record.id: _fault(catalog, record)
        if record in leading
        else f"a restore has left its timeline {record.timeline}, which does not lead to {line}."
        for record in in_time
    }
    fitting = [record for record in leading if not why_not[record.id]]
    if fitting:
        newer = in_time[in_time.index(fitting[-1]) + 1 :]
        said = [f"{record.id}: {why_not[record.id]}" for record in newer]
        return fitting[-1], line, said + [one for one in damaged if one.startswith(_PHYSICAL)]
    if to_time is not None or timeline is not None:
        first = next(iter(catalog.of("full")), None)
        since = f"the first is from {shown(first.created_at)}" if first else "there are none"
        bad = f" {len(leading)} that lead there are bad, or depend on a bad one." if leading else ""
        raise OperatorError(
            f"There is no usable base backup from before that time on timeline {line}: {since}.{bad}"
        )
    dumps = catalog.of("dump")
    good = [record for record in dumps if not _fault(catalog, record)]
    if not good:
        raise OperatorError(
            "There is no usable backup of the database here. `chitlaq backup fetch` fetches off-site"
            " copies. A bad backup (`chitlaq backup list`) is restored as far as possible if you name it."
        )
    why = [f"{name}: {reason}" for name, reason in why_not.items()]
    if why := why + [one for one in damaged if one.startswith(_PHYSICAL)]:
        raise OperatorError(
            f"No base backup is usable. {' '.join(why)} The newest dump is from"
            f" {shown(good[-1].created_at)} and has no later changes: `chitlaq backup restore {good[-1].id}`"
            " restores it. A bad backup is restored as far as possible if you name it."
        )
    newer = dumps[dumps.index(good[-1]) + 1 :]
    said = [f"{record.id}: {_fault(catalog, record)}" for record in newer]
    return good[-1], line, said + [one for one in damaged if one.startswith("chitlaq_")]


def _fault(catalog: Catalog, record: Record) -> str:
    """Why a backup is not usable; empty if it is."""
    try:
        chain = catalog.chain(record)
    except MissingParentError as error:
        return str(error)
    for one in chain:
        if one.last_failure is not None:
            depends = "" if one is record else f"depends on {one.id}, which is "
            return f"{depends}bad since {shown(one.last_failure.at)}: {one.last_failure.detail}"
    return ""


def _is_complete_by(record: Record, moment: datetime) -> bool:
    """Whether a base backup was complete by then, and so can be rolled forward to it."""
    return record.created_at + timedelta(seconds=record.seconds) <= moment
