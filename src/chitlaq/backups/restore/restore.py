"""Restore the database to its latest state or to a point in time, and keep the previous data.

The backup is staged beside the live data directory and recovers there; only then are the two swapped. A
restore that is interrupted before the swap starts again; one that is interrupted during the swap is
finished. Until then ``chitlaq up`` refuses to start.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC
from pathlib import Path

import msgspec
import psycopg
from psycopg import sql

from chitlaq.backups import pictures
from chitlaq.backups.catalog import records
from chitlaq.backups.catalog.records import Record
from chitlaq.backups.context import BackupContext, require_free_space, run_program
from chitlaq.backups.postgres import base_backup, dump, fingerprint, recovery, scratch
from chitlaq.backups.postgres.recovery import StagedRecovery
from chitlaq.backups.proof import drill
from chitlaq.backups.restore import pending, server_settings
from chitlaq.backups.restore.plan import ASIDE, RestorePlan, RestoreResult
from chitlaq.backups.wal import archive, ledger, staging
from chitlaq.backups.wal.archive import SEGMENT_BYTES, Segment, WalDamagedError
from chitlaq.backups.wal.staging import StagedWal
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files, programs
from chitlaq.core.installation.secrets import SUPERUSER, Secrets
from chitlaq.stack import containers
from chitlaq.stack.servers import barman
from chitlaq.stack.supervisor import control

_TARGET_NOT_REACHED = "recovery ended before configured recovery target was reached"
_DAMAGE_HINT = (
    " `--up-to-damage` restores what precedes it; an off-site copy may be intact"
    " (`chitlaq backup fetch`, on another machine or into another folder)."
)


def preflight(context: BackupContext, wanted: RestorePlan) -> None:
    """Check that a plan can be executed, before anything is stopped: its files are unchanged and the disk is
    large enough.

    Raises:
        OperatorError: something is missing or damaged, or the disk is too small.
    """
    if wanted.is_swapping:
        return
    # Again, now that the lock is held: another may have been interrupted since this one was planned.
    pending.refuse_another(context)
    chain = _chain(context, wanted)
    if not chain[-1].is_physical:
        require_free_space(context.home.root, dump.restore_bytes(chain[-1]), "The restore")
        dump.require_unchanged(context, chain[-1])
        return
    found = base_backup.wal_archive(context, *_surviving_wal(context, chain[-1]))
    begin = chain[-1].begin_wal
    assert begin is not None
    with _with_damage_hint():
        segments = found.chain(
            Segment.from_name(begin), wanted.timeline, is_up_to_hole=wanted.is_up_to_damage
        )
        require_free_space(
            context.home.root, recovery.required_bytes(found, chain, segments), "The restore"
        )
        if not wanted.is_up_to_damage:
            known = ledger.read(context.barman_folder)
            staging.check(
                found,
                segments,
                known,
                lambda done: context.report_progress(
                    "check WAL", done * SEGMENT_BYTES, len(segments) * SEGMENT_BYTES
                ),
            )
    for record in chain:
        base_backup.verify_files(context, record)


def _chain(context: BackupContext, wanted: RestorePlan) -> list[Record]:
    """The backup of a plan and those that it depends on.

    Raises:
        OperatorError: one of them is missing.
    """
    found = records.read(context.folder)
    record = found.get(wanted.backup)
    if record is None:
        raise OperatorError(f"The backup {wanted.backup} is missing.")
    return found.chain(record)


@contextmanager
def _with_damage_hint() -> Iterator[None]:
    """Add the remedy to an error about damaged WAL."""
    try:
        yield
    except WalDamagedError as error:
        raise WalDamagedError(f"{error}{_DAMAGE_HINT}") from None


def execute(context: BackupContext, wanted: RestorePlan) -> RestoreResult:
    """Execute a plan while everything is stopped; an interrupted restore is executed again from its plan.

    Raises:
        OperatorError: the backup is damaged, the disk is too small, or the database still runs. The current
            data directory is unchanged.
    """
    if running := scratch.server_on(context.home.postgres_data):
        raise OperatorError(
            f"PostgreSQL still runs on {context.home.postgres_data} (process {running.pid}): stop it first."
        )
    pending.save(context, wanted)
    target = context.home.restoring_data
    if wanted.restored is not None:
        return _swap(context, wanted, target, wanted.restored)
    scratch.remove_leftovers(context)
    shutil.rmtree(target, ignore_errors=True)
    try:
        chain = _chain(context, wanted)
        if chain[-1].is_physical:
            with _with_damage_hint():
                restored, needed = _restore_base_backup(context, wanted, chain, target)
        else:
            restored, needed = _restore_dump(context, wanted, chain[-1], target), {}
        said = server_settings.keep(context, target, needed)
        restored = msgspec.structs.replace(restored, notes=(*restored.notes, *said))
    except BaseException:
        # The current data was not touched.
        shutil.rmtree(target, ignore_errors=True)
        context.home.pending_restore.unlink(missing_ok=True)
        raise
    return _swap(context, wanted, target, restored)


def _restore_base_backup(
    context: BackupContext, wanted: RestorePlan, chain: Sequence[Record], target: Path
) -> tuple[RestoreResult, Mapping[str, int]]:
    staged = recovery.prepare(
        context,
        chain,
        wanted.timeline,
        target,
        *_surviving_wal(context, chain[-1]),
        is_up_to_damage=wanted.is_up_to_damage,
    )
    if wanted.to_time is not None:
        moment = f"{wanted.to_time.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f+00}"
        try:
            restored, _ = _recover(
                context, wanted, target, staged, {"recovery_target_time": moment}
            )
        except OperatorError as error:
            if _TARGET_NOT_REACHED not in str(error):
                raise
        else:
            return restored, staged.needed
    # All of the WAL is requested, or it ends before the requested time.
    restored, reached = _recover(context, wanted, target, staged, {})
    damage = staged.wal.damage
    if unread := staged.wal.unreplayed(reached):
        damage = (
            f"The WAL is unreadable after {archive.format_lsn(reached)}, but continues in segment"
            f" {unread.name}: it is damaged there."
        )
    if damage and not wanted.is_up_to_damage:
        raise WalDamagedError(damage)
    restored = msgspec.structs.replace(restored, is_as_asked=wanted.to_time is None, damage=damage)
    return restored, staged.needed


def _recover(
    context: BackupContext,
    wanted: RestorePlan,
    target: Path,
    staged: StagedRecovery,
    end: Mapping[str, str],
) -> tuple[RestoreResult, int]:
    """Start a server on the staged data and let it recover up to an end; returns also the LSN reached."""
    segments = staged.wal.segments
    first, last = segments[0].start_lsn, segments[-1].start_lsn + SEGMENT_BYTES
    with (
        scratch.scratch_folder(context) as made,
        scratch.running_server(
            context, target, made.sockets, {**staged.options, **end}, is_scratch=False,
            tell=lambda at: context.report_progress("recover", max(0, at - first), last - first),
        ) as running,
    ):  # fmt: skip
        context.report_progress("recover", last - first, last - first)
        return _inspect(context, wanted, running, staged.wal)


def _inspect(
    context: BackupContext,
    wanted: RestorePlan,
    running: scratch.ScratchServer,
    staged: StagedWal | None,
) -> tuple[RestoreResult, int]:
    """Set this installation's passwords in the restored database, and summarise its content.

    Raises:
        OperatorError: it cannot be read.
    """
    password = Secrets(context.home.secrets).postgres_password(SUPERUSER)
    try:
        with running.connect() as connection:
            connection.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                    sql.Identifier(SUPERUSER), sql.Literal(password)
                )
            )
            row = connection.execute(
                "SELECT pg_last_xact_replay_timestamp(), pg_last_wal_replay_lsn() - '0/0'"
            ).fetchone()
            tables = fingerprint.take(
                connection, lambda done, all_: context.report_progress("read", done, all_)
            )
            connection.execute("CHECKPOINT")
            said = pictures.put_back(context, connection)
    except psycopg.Error as error:
        raise OperatorError(
            f"The restored database cannot be read: {programs.last_lines(str(error))}"
        ) from None
    assert row is not None
    restored = RestoreResult(
        wanted.backup,
        len(staged.segments) if staged else 0,
        row[0].astimezone(UTC) if row[0] else None,
        sum(table.rows for table in tables.values()),
        notes=(*(staged.notes if staged else ()), *said),
    )
    return restored, int(row[1] or 0)


def _surviving_wal(context: BackupContext, record: Record) -> list[Path]:
    """The WAL in the current data directory, and in those that restores kept, of the same server.

    The last changes may not have been archived; if these files survive, they are not lost.
    """
    found = []
    for data in (context.home.postgres_data, *sorted(context.home.root.glob(f"{ASIDE}*"))):
        with suppress(OperatorError):
            if _system_identifier(context, data) == _system_identifier(
                context, context.folder / record.path
            ):
                found.append(data / archive.PG_WAL)
    return found


def _system_identifier(context: BackupContext, data: Path) -> str:
    text = run_program([context.program("pg_controldata"), str(data)])
    return next(line for line in text.splitlines() if "system identifier" in line)


def _restore_dump(
    context: BackupContext, wanted: RestorePlan, record: Record, target: Path
) -> RestoreResult:
    dump.require_unchanged(context, record)
    require_free_space(context.home.root, dump.restore_bytes(record), "The restore")
    with scratch.scratch_folder(context) as made:
        scratch.init_empty(made)
        with scratch.running_server(context, made.data, made.sockets, is_scratch=False) as running:
            drill.load_dump(context, running, record, made.data)
            restored, _ = _inspect(context, wanted, running, None)
        files.durable_rename(made.data, target)
    notes = (
        [
            f"These roles exist again, without their passwords and memberships: {', '.join(record.roles)}."
        ]
        if record.roles
        else ()
    )
    return msgspec.structs.replace(
        restored, last_commit=record.created_at, notes=(*restored.notes, *notes)
    )


def _swap(
    context: BackupContext, wanted: RestorePlan, target: Path, restored: RestoreResult
) -> RestoreResult:
    """Swap the restored data with the current data. Can be repeated from any point."""
    pending.save(context, msgspec.structs.replace(wanted, restored=restored))
    live, aside = context.home.postgres_data, context.home.root / wanted.aside
    if target.exists():
        if live.exists():
            live.rename(aside)
        files.durable_rename(target, live)
    if not live.exists():
        raise OperatorError(
            f"Both {target} and {live} are missing: remove {context.home.pending_restore}."
        )
    if not restored.segments:
        # A dump is restored into a new server.
        _set_archive_aside(context, wanted)
    elif (live / recovery.STAGED_WAL).exists():
        _extend_archive(context)
    context.home.pending_restore.unlink(missing_ok=True)
    return msgspec.structs.replace(restored, aside=str(aside) if aside.exists() else "")


def _extend_archive(context: BackupContext) -> None:
    """Continue the WAL archive on the timeline that the restore started, without a gap.

    WAL that was replayed but had not been received is archived too. The staged WAL is deleted last: as long
    as it exists, this can be repeated.
    """
    barman.leave_timeline(context.home, context.settings)
    base_backup.archive_wal(context)
    wal = context.home.postgres_data / archive.PG_WAL
    laid_out = context.home.postgres_data / recovery.STAGED_WAL
    histories = sorted(wal.glob("*.history"))
    if histories:
        timeline = int(histories[-1].name[:8], 16)
        current = Segment.from_name(_current_segment(context))
        line = archive.WalArchive({}, {timeline: histories[-1]}).timeline_history(timeline)
        left_at = max((at for at in line.values() if at is not None), default=0)
        for path in [
            *histories,
            *sorted(wal.glob(f"{timeline:08X}*")),
            *sorted(laid_out.glob("*")),
        ]:
            if path.suffix == ".history":
                _add_to_archive(context, path)
            elif archive.is_segment(path.name):
                segment = Segment.from_name(path.name)
                is_replayed = segment.start_lsn + SEGMENT_BYTES <= left_at
                is_written = segment.timeline == timeline and segment.number < current.number
                if is_replayed or is_written:
                    _add_to_archive(context, path)
    shutil.rmtree(laid_out)


def _add_to_archive(context: BackupContext, path: Path) -> None:
    """Put a WAL file among the received files, unless it is there or archived."""
    known = {one.name for one in archive.complete_files(context.barman_folder)}
    if path.name in known:
        return
    streaming = barman.streaming(context.home, context.settings)
    draft = streaming.with_name("arriving")
    shutil.copyfile(path, draft)
    files.durable_rename(draft, streaming / path.name)


def _current_segment(context: BackupContext) -> str:
    """The segment in which a stopped server continues."""
    text = run_program([context.program("pg_controldata"), str(context.home.postgres_data)])
    line = next(line for line in text.splitlines() if "REDO WAL file" in line)
    return line.rpartition(" ")[2]


def _set_archive_aside(context: BackupContext, wanted: RestorePlan) -> None:
    """Put aside the archive of the previous server: a server restored from a dump is a new one.

    Its records go first, since records without files would be misleading. Can be repeated from any point.
    """
    folder = context.barman_folder
    name = wanted.aside.removeprefix(ASIDE)
    kept = folder.with_name(f"{folder.name}.before-{name}")
    left = records.read(context.folder).of("full", "incremental")
    if left:
        (folder / "records").mkdir(parents=True, exist_ok=True, mode=0o700)
    for record in left:
        path = context.folder / "records" / f"{record.id}.json"
        path.rename(folder / "records" / path.name)
    if folder.exists():
        folder.rename(kept)


def kept_aside(context: BackupContext) -> list[Path]:
    """What restores have kept: previous data directories, and WAL archives of previous servers."""
    return [
        *sorted(context.home.root.glob(f"{ASIDE}*")),
        *sorted(context.barman_folder.parent.glob("*.before-*")),
    ]


def discard(paths: Sequence[Path]) -> None:
    """Delete what restores have kept."""
    for path in paths:
        shutil.rmtree(path)


def stop_stack(context: BackupContext) -> bool:
    """Stop ChitLaq, so that nothing writes to the data directory; returns whether it was running.

    Raises:
        OperatorError: it is running and could not be stopped; or it runs in containers, which only the engine
            can stop.
    """
    if containers.runs_postgres(context.home, context.settings):
        raise OperatorError(
            "PostgreSQL runs in a container, so the engine must stop it first: `chitlaq down`, then"
            " `chitlaq backup restore`."
        )
    return control.stop(context.home)


def next_step(context: BackupContext) -> str:
    """What an operator does after a restore failed; empty if there is nothing to start."""
    if containers.runs_postgres(context.home, context.settings):
        return ""
    if pending.exists(context):
        return "ChitLaq is down: `chitlaq backup restore --resume` finishes the restore."
    if context.home.postgres_data.exists():
        return "ChitLaq is down: `chitlaq up` starts it with the previous data."
    return ""
