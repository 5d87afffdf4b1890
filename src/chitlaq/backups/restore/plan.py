"""What a restore will do: which backup, along which timeline, and how it is remembered when it is killed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from chitlaq.backups.catalog import records
from chitlaq.backups.catalog.records import Catalog, Record
from chitlaq.backups.context import BackupContext
from chitlaq.backups.postgres import base_backup, recovery
from chitlaq.backups.wal.archive import WalArchive
from chitlaq.core.errors import OperatorError

ASIDE = "postgres.before-"


class RestoreResult(msgspec.Struct, frozen=True):
    """What is there after a restore.

    Args:
        backup: the record's id.
        segments: how many of the log were laid out.
        last_commit: nothing later is in it.
        rows: of all tables.
        is_as_asked: it is of the moment that was asked for; else the whole log came to its end before.
        damage: where the log ends too early, and what was written after it is not there.
        notes: what was chosen where there was a choice.
        aside: where that is which was there before; nothing where nothing was.
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
        backup: the record's id.
        to_time: the moment whose data is wanted; the last that there is when none is given.
        timeline: the one along which a base backup is rolled forward.
        aside: the name under which the data directory of today is kept.
        is_up_to_damage: where the log is damaged, what comes before that is enough.
        left: the timeline that the database was on, which leads back to what was there.
        restored: what was restored is whole, and the two change places.
    """

    backup: str
    to_time: datetime | None
    timeline: int
    aside: str
    is_up_to_damage: bool = False
    left: int | None = None
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
    """Choose the backup and say what will be done; looks only.

    Args:
        context: the installation.
        name: a backup; the newest that fits by default.
        to_time: the moment whose data is wanted.
        timeline: along which the log is followed; by default the one that was written at that moment
            (`recovery.timeline_at`), and the newest without a moment.
        is_up_to_damage: as in `Plan`.

    Raises:
        OperatorError: there is no backup for it, or the database is not ours to restore.
    """
    if not context.settings.embeds("postgres"):
        raise OperatorError(
            "The database is elsewhere (DATABASE_URL), and its files are not ours to put back. A dump"
            f" is restored there with `pg_restore --dbname URL {context.folder}/latest_backup.sql`."
        )
    archive = base_backup.wal_archive(context)
    if timeline is not None and timeline not in archive.timelines:
        there = ", ".join(map(str, archive.timelines))
        raise OperatorError(f"The log has no timeline {timeline}. There is: {there or 'none'}.")
    found = records.read(context.folder)
    if name is not None:
        record, line = _choose_named(context, found, archive, name, to_time, timeline)
    else:
        record, line = _choose_newest(context, found, archive, to_time, timeline)
    aside = f"{ASIDE}{datetime.now(UTC):%Y%m%dT%H%M%S}"
    left = max(archive.timelines, default=None) if record.is_physical else None
    return RestorePlan(record.id, to_time, line, aside, is_up_to_damage, left)


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
    found: Catalog,
    archive: WalArchive,
    name: str,
    to_time: datetime | None,
    timeline: int | None,
) -> tuple[Record, int]:
    record = found.get(name)
    if record is None or record.kind == "configuration":
        known = ", ".join(one.id for one in found.of("full", "incremental", "dump")[-5:])
        raise OperatorError(
            f"There is no backup {name} of the database. The newest: {known or 'none'}."
        )
    if not record.is_physical:
        if to_time is not None or timeline is not None:
            raise OperatorError(
                f"{name} is a dump, and holds one moment only: {_local_time(record.created_at)}. Any other"
                " is restored from a base backup: leave the name out."
            )
        return record, 1
    if to_time is not None and not _is_complete_by(record, to_time):
        raise OperatorError(f"{name} was made after {_local_time(to_time)}.")
    lines = recovery.reachable_timelines(context, archive, record)
    if to_time is None and timeline is None:
        return record, lines[-1]
    line = _target_timeline(context, archive, to_time, timeline)
    if line not in lines:
        raise OperatorError(
            f"{name} is of timeline {record.timeline}, and does not lead to timeline {line}, which was"
            " asked for or written at that moment: leave the name out, or choose with --timeline."
        )
    return record, line


def _choose_newest(
    context: BackupContext,
    found: Catalog,
    archive: WalArchive,
    to_time: datetime | None,
    timeline: int | None,
) -> tuple[Record, int]:
    line = _target_timeline(context, archive, to_time, timeline)
    leading = [
        record
        for record in found.of("full", "incremental")
        if (to_time is None or _is_complete_by(record, to_time))
        and line in recovery.reachable_timelines(context, archive, record)
    ]
    fitting = [record for record in leading if is_usable(found, record)]
    if fitting:
        return fitting[-1], line
    if to_time is not None or timeline is not None:
        first = next(iter(found.of("full")), None)
        since = (
            f"the first is from {_local_time(first.created_at)}"
            if first
            else "there is none at all"
        )
        bad = (
            f" {len(leading)} that would lead there are bad, or add to what is." if leading else ""
        )
        raise OperatorError(
            f"There is no physical backup from before that moment on timeline {line}: {since}.{bad}"
        )
    dumps_ = [record for record in found.of("dump") if is_usable(found, record)]
    if not dumps_:
        raise OperatorError(
            "There is no backup of the database here of which nothing bad is known. From elsewhere:"
            " `chitlaq backup fetch`. `chitlaq backup list` shows what there is: one that is named is"
            " restored all the same, as far as it can be."
        )
    return dumps_[-1], line


def _local_time(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}"


def _is_complete_by(record: Record, moment: datetime) -> bool:
    """Whether a physical backup was whole at a moment, and so can be rolled forward to it."""
    return record.created_at + timedelta(seconds=record.seconds) <= moment


def is_usable(found: Catalog, record: Record) -> bool:
    """Whether nothing bad is known of a backup and those that it adds to."""
    try:
        chain = found.chain(record)
    except KeyError:
        return False
    return not any(one.is_bad for one in chain)
