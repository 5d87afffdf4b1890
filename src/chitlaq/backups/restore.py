"""The worst day: put the database back, as it was last or at a moment, and keep what was there.

What is restored is laid out beside the live data directory and recovers there; only then do the two
change places. A restore that is interrupted before that begins anew, one that is interrupted in
between is finished; ``chitlaq up`` refuses to start meanwhile.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from psycopg import sql

from chitlaq.backups import content, drill, log, physical, place, records, scratch
from chitlaq.backups.log import Segment
from chitlaq.backups.place import Place
from chitlaq.backups.records import Record, Records
from chitlaq.core.errors import OperatorError
from chitlaq.core.secrets import SUPERUSER, Secrets
from chitlaq.stack import barman

ASIDE = "postgres.before-"
_NOTHING_LATER = "recovery ended before configured recovery target was reached"


class Plan(msgspec.Struct, frozen=True):
    """What a restore will do.

    Args:
        backup: the record's id.
        to_time: the moment whose data is wanted; the last that there is when none is given.
        aside: the name under which the data directory of today is kept.
        is_swapping: what was restored is whole, and the two change places.
    """

    backup: str
    to_time: datetime | None
    aside: str
    is_swapping: bool = False


class Restored(msgspec.Struct, frozen=True):
    """What is there after a restore. ``last_commit``: nothing later is in it."""

    backup: str
    segments: int
    last_commit: datetime | None
    rows: int
    aside: Path | None
    is_as_asked: bool


def plan(here: Place, name: str | None, to_time: datetime | None) -> tuple[Plan, Record]:
    """Choose the backup and say what will be done; looks only.

    Raises:
        OperatorError: there is no backup for it, or the database is not ours to restore.
    """
    if not here.settings.embeds("postgres"):
        raise OperatorError(
            "The database is elsewhere (DATABASE_URL), and its files are not ours to put back. A dump"
            f" is restored there with `pg_restore --dbname URL {here.folder}/latest_backup.sql`."
        )
    found = records.read(here.folder)
    record = _chosen(found, name, to_time)
    moment = datetime.now(UTC)
    return Plan(record.id, to_time, f"{ASIDE}{moment:%Y%m%dT%H%M%S}"), record


def _chosen(found: Records, name: str | None, to_time: datetime | None) -> Record:
    if name is not None:
        record = found.get(name)
        if record is None or record.kind == "configuration":
            known = ", ".join(one.id for one in found.of("full", "incremental", "dump")[-5:])
            raise OperatorError(
                f"There is no backup {name} of the database. The newest: {known or 'none'}."
            )
        if to_time is not None and not _is_before(record, to_time):
            raise OperatorError(f"{name} was made after {to_time:%Y-%m-%d %H:%M:%S %Z}.")
        return record
    fitting = [
        record
        for record in found.of("full", "incremental")
        if (to_time is None or _is_before(record, to_time)) and _may_be_good(found, record)
    ]
    if fitting:
        return fitting[-1]
    if to_time is not None:
        first = next(iter(found.of("full")), None)
        since = f"the first is from {first.created_at:%Y-%m-%d %H:%M:%S %Z}" if first else "none"
        raise OperatorError(f"There is no physical backup from before that moment: {since}.")
    dumps = [record for record in found.of("dump") if _may_be_good(found, record)]
    if not dumps:
        raise OperatorError(
            "There is no backup of the database here. From elsewhere: `chitlaq backup fetch`."
        )
    return dumps[-1]


def _is_before(record: Record, moment: datetime) -> bool:
    """Whether a physical backup was whole at a moment, and so can be rolled forward to it."""
    return record.created_at + timedelta(seconds=record.seconds) <= moment


def _may_be_good(found: Records, record: Record) -> bool:
    """Whether nothing bad is known of a backup and those that it adds to."""
    try:
        chain = found.chain(record)
    except KeyError:
        return False
    return not any(one.verified is not None and not one.verified.is_good for one in chain)


def pending(here: Place) -> Plan | None:
    """The restore that was interrupted, if there is one."""
    try:
        return msgspec.json.decode(here.home.pending_restore.read_bytes(), type=Plan)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def carry_out(here: Place, wanted: Plan) -> Restored:
    """Do it, with everything stopped; what is interrupted is done again from the same plan.

    Raises:
        OperatorError: the backup is damaged, or there is no room; the data directory of today is as
            it was.
    """
    _keep(here, wanted)
    target = here.home.root / "postgres.restoring"
    if wanted.is_swapping:
        return _swap(here, wanted, target, None)
    scratch.sweep(here)
    shutil.rmtree(target, ignore_errors=True)
    found = records.read(here.folder)
    record = found.get(wanted.backup)
    if record is None:
        raise OperatorError(f"The backup {wanted.backup} is gone.")
    try:
        if record.kind == "dump":
            restored = _from_dump(here, wanted, record, target)
        else:
            restored = _from_files(here, wanted, found.chain(record), target)
    except BaseException:
        # What is there today was not touched.
        shutil.rmtree(target, ignore_errors=True)
        here.home.pending_restore.unlink(missing_ok=True)
        raise
    return _swap(here, wanted, target, restored)


def _keep(here: Place, wanted: Plan) -> None:
    here.home.backup.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = here.home.pending_restore.with_suffix(".draft")
    draft.write_bytes(msgspec.json.encode(wanted))
    draft.rename(here.home.pending_restore)


def _from_files(here: Place, wanted: Plan, chain: Sequence[Record], target: Path) -> Restored:
    last_written = _last_written(here, chain[-1])
    segments = drill.prepare(here, chain, target, *last_written)
    options = list(drill.recovery(target))
    is_as_asked = True
    if wanted.to_time is not None:
        options.append(
            f"recovery_target_time={wanted.to_time.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f+00}"
        )
    try:
        restored = _recover(here, wanted, target, segments, options)
    except OperatorError as error:
        if _NOTHING_LATER not in str(error):
            raise
        # Nothing was written after the moment: what the log ends with is what was there then.
        restored = _recover(here, wanted, target, segments, options[:-1])
        is_as_asked = False
    shutil.rmtree(target / "restored", ignore_errors=True)
    return msgspec.structs.replace(restored, is_as_asked=is_as_asked)


def _recover(
    here: Place, wanted: Plan, target: Path, segments: int, options: Sequence[str]
) -> Restored:
    here.advance("recover", 0, 1)
    with (
        scratch.made(here) as made,
        scratch.running(here, target, made.sockets, *options, is_scratch=False) as running,
    ):
        restored = _describe(here, wanted, running, segments)
    here.advance("recover", 1, 1)
    return restored


def _describe(here: Place, wanted: Plan, running: scratch.Server, segments: int) -> Restored:
    """Let this installation's passwords open what was restored, and say what is in it."""
    password = Secrets(here.home.secrets).postgres_password(SUPERUSER)
    with running.connect() as connection:
        connection.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                sql.Identifier(SUPERUSER), sql.Literal(password)
            )
        )
        row = connection.execute("SELECT pg_last_xact_replay_timestamp()").fetchone()
        tables = content.take(connection)
        connection.execute("CHECKPOINT")
    return Restored(
        wanted.backup,
        segments,
        row[0].astimezone(UTC) if row and row[0] else None,
        sum(table.rows for table in tables.values()),
        None,
        is_as_asked=True,
    )


def _last_written(here: Place, record: Record) -> list[Path]:
    """The log in the data directory of today, when it is there and of the same server.

    What was written last may not have been received; where the files survive it is not lost.
    """
    folder = here.home.postgres_data / "pg_wal"
    control = here.folder / record.path
    if not folder.is_dir():
        return []
    with suppress(OperatorError):
        if _identity(here, control) == _identity(here, here.home.postgres_data):
            return [folder]
    return []


def _identity(here: Place, data: Path) -> str:
    text = place.run([here.program("pg_controldata"), str(data)])
    return next(line for line in text.splitlines() if "system identifier" in line)


def _from_dump(here: Place, wanted: Plan, record: Record, target: Path) -> Restored:
    file = here.folder / record.path
    if records.digest(file) != record.sha256:
        raise OperatorError(f"{file} has changed since it was made: choose another backup.")
    place.need_room(here.home.root, record.bytes * 8, "The restore")
    with scratch.made(here) as made:
        scratch.fresh(made)
        with scratch.running(here, made.data, made.sockets, is_scratch=False) as running:
            drill.fill(here, running, file)
            restored = _describe(here, wanted, running, 0)
        made.data.rename(target)
    return msgspec.structs.replace(restored, last_commit=record.created_at)


def _swap(here: Place, wanted: Plan, target: Path, restored: Restored | None) -> Restored:
    """Let what was restored take the place of what is there. May be done again from any point."""
    _keep(here, msgspec.structs.replace(wanted, is_swapping=True))
    live, aside = here.home.postgres_data, here.home.root / wanted.aside
    if target.exists():
        if live.exists():
            live.rename(aside)
        target.rename(live)
    if not live.exists():
        raise OperatorError(
            f"{target} is gone, and {live} too: remove {here.home.pending_restore}."
        )
    record = records.read(here.folder).get(wanted.backup)
    if record is not None and record.is_physical:
        _continue_log(here)
    else:
        _begin_log_anew(here, wanted)
    here.home.pending_restore.unlink(missing_ok=True)
    kept = aside if aside.exists() else None
    if restored is None:
        return Restored(wanted.backup, 0, None, 0, kept, is_as_asked=True)
    return msgspec.structs.replace(restored, aside=kept)


def _continue_log(here: Place) -> None:
    """Lead the archive on to the timeline that the restore began, without a hole."""
    barman.leave_timeline(here.home, here.settings)
    physical.archive(here)
    wal = here.home.postgres_data / "pg_wal"
    histories = sorted(wal.glob("*.history"))
    if not histories:
        return
    streaming = barman.streaming(here.home, here.settings)
    timeline = int(histories[-1].name[:8], 16)
    current = Segment.of(_current_segment(here))
    known = {path.name for path in log.archived(barman.folder(here.home, here.settings))}
    for path in [*histories, *sorted(wal.glob(f"{timeline:08X}*"))]:
        is_history = path.suffix == ".history"
        is_whole = is_history or (
            len(path.name) == 24 and Segment.of(path.name).number < current.number
        )
        if is_whole and path.name not in known:
            draft = streaming.with_name("arriving")
            shutil.copyfile(path, draft)
            draft.rename(streaming / path.name)


def _current_segment(here: Place) -> str:
    """The segment that a stopped server goes on to write."""
    text = place.run([here.program("pg_controldata"), str(here.home.postgres_data)])
    line = next(line for line in text.splitlines() if "REDO WAL file" in line)
    return line.rpartition(" ")[2]


def _begin_log_anew(here: Place, wanted: Plan) -> None:
    """Put aside the archive of the server that is no more: the one from a dump is another."""
    folder = barman.folder(here.home, here.settings)
    if not folder.exists():
        return
    name = wanted.aside.removeprefix(ASIDE)
    kept = folder.with_name(f"{folder.name}.before-{name}")
    folder.rename(kept)
    for record in records.read(here.folder).of("full", "incremental"):
        path = here.folder / "records" / f"{record.id}.json"
        path.rename(kept / path.name)


def set_aside(here: Place) -> list[Path]:
    """What restores have kept: data directories, and archives of servers that are no more."""
    return [
        *sorted(here.home.root.glob(f"{ASIDE}*")),
        *sorted(barman.folder(here.home, here.settings).parent.glob("*.before-*")),
    ]
