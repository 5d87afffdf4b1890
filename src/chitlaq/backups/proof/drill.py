"""The drill: a backup is restored into a scratch server, and compared with what it should hold.

A dump is compared with what was written down from the very snapshot that it was made of. A physical
backup is compared with the live database as of a moment between two writes: the log is replayed up to
exactly there. Nothing else says that the log leads from the backup to now.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import msgspec
import psycopg
from psycopg import sql

from chitlaq.backups.catalog import records
from chitlaq.backups.catalog.records import ProofResult, Record, TableFingerprint
from chitlaq.backups.context import (
    BackupContext,
    last_lines,
    pin_backend,
    require_free_space,
    run_program,
)
from chitlaq.backups.errors import InconclusiveError, is_inconclusive
from chitlaq.backups.postgres import base_backup, dump, fingerprint, recovery, scratch
from chitlaq.backups.postgres.scratch import ScratchFolder, ScratchServer
from chitlaq.core.data import migrations, postgres
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.ports import free_ports

CONNECT_SECONDS = 5
SERVE_SECONDS = 60
SNAPSHOT_TRIES = 400
SNAPSHOT_PAUSE_SECONDS = 0.01
LOCK_TRIES = 20
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class QuiescentSnapshot:
    """What the live database held at a position of its log; ``lag_seconds`` until that was archived."""

    lsn: str
    tables: Mapping[str, TableFingerprint]
    lag_seconds: float


def drill(context: BackupContext, record: Record, database: str = postgres.DATABASE) -> Record:
    """Restore a backup, compare it, ask a service about it, and write down what was found.

    Raises:
        OperatorError: it is no backup of the database. What is wrong with it is in the verdict.
        UnseenError: it could not be restored for a trial, and what was known of it stays.
    """
    if record.kind == "configuration":
        raise OperatorError(f"{record.id} holds no database: `chitlaq backup verify` looks at it.")
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
            raise InconclusiveError(last_lines(str(error))) from None
        detail, is_good = last_lines(str(error)), False
    verdict = ProofResult(datetime.now(UTC), is_good, detail, monotonic() - begun, lost)
    judged = msgspec.structs.replace(record, drilled=verdict)
    records.write(context.folder, judged)
    return judged


def _drill_dump(context: BackupContext, record: Record, database: str) -> tuple[str, float]:
    begun = monotonic()
    dump.require_unchanged(context, record)
    rows = sum(table.rows for table in record.tables.values())
    require_free_space(context.home.backup, dump.restore_bytes(record), "The drill")
    with scratch.scratch_folder(context) as made:
        try:
            scratch.init_empty(made)
        except OperatorError as error:
            # Nothing of the backup is in it yet.
            raise InconclusiveError(str(error)) from None
        with scratch.running_server(context, made.data, made.sockets, database=database) as server:
            load_dump(context, server, record, made.data)
            seconds = monotonic() - begun
            _compare(context, server, record.tables)
            _query_feed_service(context, made, server)
    lost = (datetime.now(UTC) - record.created_at).total_seconds()
    return (
        f"restored in {seconds:.1f} s, all {rows:,} rows as they were, a service reads them",
        lost,
    )


def load_dump(context: BackupContext, server: ScratchServer, record: Record, data: Path) -> None:
    """Restore a dump into an empty server: roles, database, and all that is in it.

    Raises:
        OperatorError: it does not take it.
    """
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(server.database))
        )
    migrations.provision(server.settings, server.home)
    dump.restore(context, record, server.url(), data)


def _drill_physical(context: BackupContext, record: Record) -> tuple[str, float]:
    try:
        chain = records.read(context.folder).chain(record)
    except KeyError as missing:
        raise OperatorError(f"It adds to {missing.args[0]}, which is gone.") from None
    timeline = _live_timeline(context, record)
    context.report_progress("moment", 0, 1)
    moment = quiescent_snapshot(context)
    context.report_progress("moment", 1, 1)
    begun = monotonic()
    with scratch.scratch_folder(context) as made:
        staged = recovery.prepare(context, chain, timeline, made.data)
        options = (
            f"recovery_target_lsn={moment.lsn}",
            "recovery_target_inclusive=off",
            *recovery.recovery_options(made.data, timeline),
        )
        with scratch.running_server(context, made.data, made.sockets, *options) as server:
            seconds = monotonic() - begun
            _compare(context, server, moment.tables)
            run_program(
                [context.program("pg_amcheck"), "--host", str(server.sockets), "--port", str(server.port),
                 "--username", "postgres", "--install-missing", server.database]
            )  # fmt: skip
            _query_feed_service(context, made, server)
    rows = sum(table.rows for table in moment.tables.values())
    return (
        f"restored in {seconds:.1f} s with {len(staged.segments)} segments of the log, all {rows:,} rows"
        " as they were, indexes sound, a service reads them"
    ), moment.lag_seconds


def _live_timeline(context: BackupContext, record: Record) -> int:
    """The timeline that the live server writes, where a backup leads there.

    Raises:
        UnseenError: a restore went back to before it.
    """
    found = base_backup.wal_archive(context)
    now = max(found.timelines, default=1)
    if now not in recovery.reachable_timelines(context, found, record):
        raise InconclusiveError(
            "It is of a time that a restore has left behind, and the live database, to compare with, is"
            f" not: `chitlaq backup verify {record.id}` looks at it."
        )
    return now


def quiescent_snapshot(context: BackupContext) -> QuiescentSnapshot:
    """Find a moment between two writes, and note what the live database held then.

    Raises:
        UnseenError: the database is away, or too much is written for such a moment to be found.
    """
    url = postgres.dsn(context.settings, context.home, postgres.OWNER)
    try:
        with (
            psycopg.connect(url, connect_timeout=CONNECT_SECONDS) as reading,
            psycopg.connect(url, connect_timeout=CONNECT_SECONDS, autocommit=True) as other,
        ):
            pin_backend(context, reading)
            position = _between_writes(reading, other) or _with_writes_blocked(reading, other)
            if position is None:
                raise InconclusiveError(
                    "No moment between two writes was found to compare with: too much is written."
                )
            lag = _archive_lag(context)
            return QuiescentSnapshot(position, fingerprint.take(reading), lag)
    except psycopg.OperationalError as error:
        raise InconclusiveError(
            f"The live database, to compare with, is away: {str(error).strip()}"
        ) from None


def _archive_lag(context: BackupContext) -> float:
    try:
        return base_backup.switch_segment(context, "chitlaq_drill")
    except OperatorError as error:
        # The archive is behind or away: that is another check's to say.
        raise InconclusiveError(str(error)) from None


def _between_writes(reading: psycopg.Connection, other: psycopg.Connection) -> str | None:
    """A snapshot in which nothing was on its way, and the position of the log at that moment.

    Nothing was written between the two looks at the log, and no transaction was open that could
    have written its end and not have said so yet.
    """
    for _ in range(SNAPSHOT_TRIES):
        before = _insert_lsn(other)
        position, xmin, xmax = _take_snapshot(reading)
        if position == before and xmin == xmax:
            return position
        time.sleep(SNAPSHOT_PAUSE_SECONDS)
    return None


def _with_writes_blocked(reading: psycopg.Connection, other: psycopg.Connection) -> str | None:
    """The same while writers wait for some milliseconds: for those who never leave a gap."""
    tables = [
        sql.Identifier(*name)
        for name in other.execute(
            "SELECT schemaname, tablename FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
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


def _take_snapshot(reading: psycopg.Connection) -> tuple[str, int, int]:
    reading.rollback()
    reading.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    row = reading.execute(
        "SELECT pg_current_wal_insert_lsn()::text, pg_snapshot_xmin(s)::text::bigint,"
        " pg_snapshot_xmax(s)::text::bigint FROM pg_current_snapshot() s"
    ).fetchone()
    assert row is not None
    return row


def _compare(
    context: BackupContext, server: ScratchServer, expected: Mapping[str, TableFingerprint]
) -> None:
    """Raise when the restored database is not what it should be."""
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
        raise OperatorError(f"What was restored differs: {'; '.join(said[:5])}{more}.")


def _query_feed_service(context: BackupContext, made: ScratchFolder, server: ScratchServer) -> None:
    """Bring the database to this version's shape, and let feed-service read the home feed from it.

    Raises:
        OperatorError: it does not answer as it should.
    """
    context.report_progress("ask", 0, 1)
    migrations.provision(server.settings, server.home)
    migrations.apply(server.settings, server.home)
    (port,) = free_ports(1)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("CHITLAQ_")
    } | {
        "CHITLAQ_HOME": str(server.home.root),
        "CHITLAQ_PORTS_FEED": str(port),
        "DATABASE_URL": server.settings.database_url,
        "REDIS_URL": server.settings.redis_url,
    }
    log = made.sockets / "feed-service.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "chitlaq", "serve", "feed-service"],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment,
        )  # fmt: skip
    try:
        shown = _home_feed_size(port, process)
    except OperatorError as error:
        said = last_lines(log.read_text(errors="replace"), 1)
        raise OperatorError(
            f"feed-service does not read what was restored: {error} {said}"
        ) from None
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    with server.connect() as connection:
        row = connection.execute(
            "SELECT count(*) FROM (SELECT FROM feed.posts WHERE visibility = 'public' LIMIT 1) p"
        ).fetchone()
    if row and row[0] and not shown:
        raise OperatorError("feed-service shows no post, and there are public ones.")
    context.report_progress("ask", 1, 1)


def _home_feed_size(port: int, process: subprocess.Popen[bytes]) -> int:
    """Posts on the first page of the home feed."""
    deadline = monotonic() + SERVE_SECONDS
    problem = "it does not listen."
    while monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{port}/feed/home?limit=10", timeout=10
            ) as answer:
                return len(json.load(answer)["items"])
        except urllib.error.HTTPError as error:
            problem = f"it answers {error.code}."
        except (OSError, ValueError, KeyError) as error:
            problem = f"{error}."
        time.sleep(POLL_SECONDS)
    raise OperatorError(problem)
