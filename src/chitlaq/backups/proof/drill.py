"""Restore drills: restore a backup into a scratch server and compare it with its expected content.

A dump is compared with the fingerprint taken in its own snapshot. A base backup is compared with the live
database at a quiescent point: WAL is replayed up to exactly that LSN. Nothing else proves that the WAL
leads from the backup to the present.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from time import monotonic

import msgspec
import psycopg
from psycopg import sql

from chitlaq.backups import pictures, waiting
from chitlaq.backups.catalog import records
from chitlaq.backups.catalog.records import ProofResult, Record, TableFingerprint
from chitlaq.backups.context import BackupContext, pin_backend, require_free_space, run_program
from chitlaq.backups.errors import InconclusiveError, is_inconclusive
from chitlaq.backups.postgres import base_backup, dump, fingerprint, recovery, scratch
from chitlaq.backups.postgres.scratch import ScratchFolder, ScratchServer
from chitlaq.backups.proof import kept
from chitlaq.backups.wal import receiver
from chitlaq.core.data import migrations, postgres
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import http_client, programs
from chitlaq.core.installation.ports import free_ports

SERVE_SECONDS = 60
SNAPSHOT_TRIES = 400
SNAPSHOT_PAUSE_SECONDS = 0.01
LOCK_TRIES = 20
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class QuiescentSnapshot:
    """The content of the live database at an LSN; ``lag_seconds`` until that LSN was archived."""

    lsn: str
    tables: Mapping[str, TableFingerprint]
    lag_seconds: float


def drill(context: BackupContext, record: Record, database: str = postgres.DATABASE) -> ProofResult:
    """Restore a backup, compare it, query it through feed-service, and record the result.

    Raises:
        OperatorError: it is not a backup of the database. A bad backup is a result, not an error.
        InconclusiveError: the drill could not be carried out; earlier results stand.
    """
    if record.kind == "configuration":
        raise OperatorError(f"{record.id} contains no database: use `chitlaq backup verify`.")
    begun = monotonic()
    lost: float | None = None
    try:
        if record.kind == "dump":
            detail, lost = _drill_dump(context, record, database)
        else:
            detail, lost = _drill_physical(context, record)
        is_good = True
    except (OperatorError, OSError, psycopg.Error) as error:
        if is_inconclusive(error):
            raise InconclusiveError(programs.last_lines(str(error))) from None
        detail, is_good = programs.last_lines(str(error)), False
    result = ProofResult(datetime.now(UTC), is_good, detail, monotonic() - begun, lost)
    records.write(context.folder, msgspec.structs.replace(record, drilled=result))
    return result


def _drill_dump(context: BackupContext, record: Record, database: str) -> tuple[str, float]:
    begun = monotonic()
    dump.require_unchanged(context, record)
    rows = sum(table.rows for table in record.tables.values())
    require_free_space(context.home.backup, dump.restore_bytes(record), "The drill")
    with scratch.scratch_folder(context) as made:
        try:
            scratch.init_empty(made)
        except OperatorError as error:
            # The backup is not involved yet.
            raise InconclusiveError(str(error)) from None
        with scratch.running_server(context, made.data, made.sockets, database=database) as server:
            load_dump(context, server, record, made.data)
            seconds = monotonic() - begun
            _compare(context, server, record.tables)
            present = _compare_pictures(context, server)
            _query_feed_service(context, made, server)
            left = (
                "" if database == postgres.DATABASE else f", {kept.keep(context, server, database)}"
            )
    lost = (datetime.now(UTC) - record.created_at).total_seconds()
    said = f"restored in {seconds:.1f} s, all {rows:,} rows identical, {present}, readable by feed-service"
    return said + left, lost


def load_dump(context: BackupContext, server: ScratchServer, record: Record, data: Path) -> None:
    """Restore a dump into an empty server: roles, database and content.

    Roles that are not ours get their tables and grants back, but no password.

    Raises:
        OperatorError: the server rejects it.
    """
    with waiting.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(server.database))
        )
        for role in record.roles:
            connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
    with server.watched():
        migrations.provision(server.settings, server.home)
    dump.restore(context, record, server.url(), data, server.work_done)


def _drill_physical(context: BackupContext, record: Record) -> tuple[str, float]:
    chain = records.read(context.folder).chain(record)
    timeline = _live_timeline(context, record)
    context.report_progress("moment", 0, 1)
    moment = quiescent_snapshot(context)
    context.report_progress("moment", 1, 1)
    begun = monotonic()
    with scratch.scratch_folder(context) as made:
        staged = recovery.prepare(context, chain, timeline, made.data)
        options = {
            **staged.options,
            "recovery_target_lsn": moment.lsn,
            "recovery_target_inclusive": "off",
        }
        with scratch.running_server(context, made.data, made.sockets, options) as server:
            seconds = monotonic() - begun
            server.forget_settings()
            _compare(context, server, moment.tables)
            present = _compare_pictures(context, server)
            run_program(
                [context.program("pg_amcheck"), "--host", str(server.sockets), "--port", str(server.port),
                 "--username", "postgres", "--install-missing", server.database],
                progress=server.work_done,
            )  # fmt: skip
            _query_feed_service(context, made, server)
    rows = sum(table.rows for table in moment.tables.values())
    return (
        f"restored in {seconds:.1f} s with {len(staged.wal.segments)} WAL segments, all {rows:,} rows"
        f" identical, {present}, indexes sound, readable by feed-service"
    ), moment.lag_seconds


def _live_timeline(context: BackupContext, record: Record) -> int:
    """The live server's timeline, if the backup leads to it.

    Raises:
        InconclusiveError: a restore has left the backup's timeline behind.
    """
    found = base_backup.wal_archive(context)
    now = max(found.timelines, default=1)
    if now not in recovery.reachable_timelines(context, found, record):
        raise InconclusiveError(
            "A restore has left its timeline behind, so the live database cannot be compared with it: use"
            f" `chitlaq backup verify {record.id}`."
        )
    return now


def quiescent_snapshot(context: BackupContext) -> QuiescentSnapshot:
    """Find an LSN at which no transaction was in progress, and fingerprint the live database there.

    Raises:
        InconclusiveError: the database is down, or too busy for such an LSN to be found.
    """
    url = postgres.dsn(context.settings, context.home, postgres.OWNER)
    try:
        with (
            waiting.connect(url) as reading,
            waiting.connect(url, autocommit=True) as other,
        ):
            pin_backend(context, reading)
            position = _between_writes(reading, other) or _with_writes_blocked(reading, other)
            if position is None:
                raise InconclusiveError(
                    "The database is too busy: no moment without open transactions was found to compare with."
                )
            lag = _archive_lag(context)
            return QuiescentSnapshot(position, fingerprint.take(reading), lag)
    except psycopg.OperationalError as error:
        raise InconclusiveError(
            f"The live database to compare with is down: {str(error).strip()}"
        ) from None


def _archive_lag(context: BackupContext) -> float:
    try:
        return receiver.switch_segment(context, "chitlaq_drill")
    except OperatorError as error:
        # The archive is behind or down, which its own check reports.
        raise InconclusiveError(str(error)) from None


def _between_writes(reading: psycopg.Connection, other: psycopg.Connection) -> str | None:
    """Take a snapshot with no transaction in progress; returns the LSN at that moment.

    No WAL was written between the two readings of the LSN, and no transaction was open that could have
    written its commit record without being visible yet.
    """
    for _ in range(SNAPSHOT_TRIES):
        before = _insert_lsn(other)
        position, is_quiescent = _take_snapshot(reading)
        if position == before and is_quiescent:
            return position
        time.sleep(SNAPSHOT_PAUSE_SECONDS)
    return None


def _with_writes_blocked(reading: psycopg.Connection, other: psycopg.Connection) -> str | None:
    """Do the same while writes are blocked for some milliseconds, for databases that are never idle."""
    tables = [
        sql.Identifier(*name)
        for name in other.execute(
            "SELECT schemaname, tablename FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
            " AND schemaname NOT LIKE 'pg\\_temp%'"
        )
    ]
    for _ in range(LOCK_TRIES):
        with suppress(psycopg.errors.LockNotAvailable), other.transaction():
            other.execute("SET LOCAL lock_timeout = '300ms'")
            other.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(sql.SQL(", ").join(tables)))
            return _take_snapshot(reading)[0]
        time.sleep(0.5)
    return None


def _insert_lsn(connection: psycopg.Connection) -> str:
    row = connection.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
    assert row is not None
    return str(row[0])


def _take_snapshot(reading: psycopg.Connection) -> tuple[str, bool]:
    """The LSN of a new snapshot, and whether no transaction is in progress in it but prepared ones.

    Prepared transactions stay prepared in the restored database.
    """
    reading.rollback()
    reading.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    row = reading.execute(
        "SELECT pg_current_wal_insert_lsn()::text, NOT EXISTS (SELECT FROM pg_snapshot_xip(s) AS running"
        " WHERE running::xid NOT IN (SELECT transaction FROM pg_prepared_xacts)) FROM pg_current_snapshot() s"
    ).fetchone()
    assert row is not None
    return row


def _compare(
    context: BackupContext, server: ScratchServer, expected: Mapping[str, TableFingerprint]
) -> None:
    """Raise if the restored database is not what it should be."""
    with server.connect() as connection:
        said = fingerprint.differences(
            expected,
            fingerprint.take(
                connection, lambda done, all_: context.report_progress("compare", done, all_)
            ),
        )
        said += fingerprint.broken_constraints(connection)
    if said:
        more = f", and {len(said) - 5} more" if len(said) > 5 else ""
        raise OperatorError(f"The restored database differs: {'; '.join(said[:5])}{more}.")


def _compare_pictures(context: BackupContext, server: ScratchServer) -> str:
    with server.connect() as connection:
        return pictures.compare(context, connection)


def _query_feed_service(context: BackupContext, made: ScratchFolder, server: ScratchServer) -> None:
    """Migrate the database to the current version, and let feed-service read the home feed from it.

    Raises:
        OperatorError: the service does not answer as it should.
    """
    context.report_progress("ask", 0, 1)
    with server.watched():
        migrations.provision(server.settings, server.home)
        migrations.apply(server.settings, server.home)
    (port,) = free_ports(1)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("CHITLAQ_")
    } | {
        "CHITLAQ_HOME": str(server.home.root),
        "CHITLAQ_PORTS_FEED": str(port),
        "DATABASE_URL": server.settings.database_url.reveal(),
        "REDIS_URL": server.settings.redis_url.reveal(),
    }
    log = made.sockets / "feed-service.log"
    with log.open("wb") as output:
        process = programs.start(
            [sys.executable, "-m", "chitlaq", "serve", "feed-service"],
            output=output,
            environment=environment,
        )
    try:
        shown = _home_feed_size(port, process)
    except OperatorError as error:
        said = programs.last_lines(log.read_text(errors="replace"), 1)
        raise OperatorError(
            f"feed-service cannot read the restored database: {error} {said}"
        ) from None
    finally:
        programs.stop(process)
    with server.connect() as connection:
        row = connection.execute(
            "SELECT count(*) FROM (SELECT FROM feed.posts WHERE visibility = 'public' LIMIT 1) p"
        ).fetchone()
    if row and row[0] and not shown:
        raise OperatorError("feed-service shows no posts, although there are public ones.")
    context.report_progress("ask", 1, 1)


def _home_feed_size(port: int, process: programs.RunningProgram) -> int:
    """The number of posts on the first page of the home feed."""
    deadline = monotonic() + SERVE_SECONDS
    problem = "it does not respond."
    url = f"http://127.0.0.1:{port}/feed/home?limit=10"
    while monotonic() < deadline and process.poll() is None:
        try:
            answer = asyncio.run(http_client.get(url, timeout_seconds=10))
            if answer.status == HTTPStatus.OK:
                return len(json.loads(answer.body)["items"])
            problem = f"it answers {answer.status}."
        except (OSError, ValueError, KeyError) as error:
            problem = f"{error}."
        time.sleep(POLL_SECONDS)
    raise OperatorError(problem)
