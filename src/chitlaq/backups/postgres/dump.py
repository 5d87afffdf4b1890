"""Logical backups: a dump a day that any later PostgreSQL reads, with what it holds written beside it."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit, urlunsplit

import msgspec
import psycopg

from chitlaq.backups import progress
from chitlaq.backups.catalog import records
from chitlaq.backups.catalog.records import Record
from chitlaq.backups.context import (
    BackupContext,
    last_lines,
    new_backup_id,
    pin_backend,
    require_free_space,
    run_program,
)
from chitlaq.backups.postgres import fingerprint
from chitlaq.core.data import postgres
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import cpu_affinity, files

LATEST = "latest_backup.sql"
CONNECT_SECONDS = 5
# Of a dump, where it was not written down what the database took.
COMPRESSION = 8
EMPTY_SERVER_BYTES = 80_000_000


def take(context: BackupContext) -> Record:
    """Dump the database, and what is compared of it as of the same moment.

    The dump is in pg_dump's custom format, compressed: `pg_restore` of this and of every
    later version reads it, in parallel or a table alone.

    Raises:
        OperatorError: the database is away, there is no room, or pg_dump failed.
    """
    name = new_backup_id("chitlaq")
    begun = monotonic()
    try:
        with psycopg.connect(
            postgres.dsn(context.settings, context.home, postgres.OWNER),
            connect_timeout=CONNECT_SECONDS,
        ) as connection:
            record = _dump(context, connection, name)
    except psycopg.OperationalError as error:
        raise OperatorError(f"The database cannot be dumped: {str(error).strip()}") from None
    made = msgspec.structs.replace(record, seconds=monotonic() - begun)
    records.write(context.folder, made)
    files.point_to(context.folder / LATEST, Path(made.path))
    return made


def _dump(context: BackupContext, connection: psycopg.Connection, name: str) -> Record:
    pin_backend(context, connection)
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    row = connection.execute(
        "SELECT pg_export_snapshot(), pg_database_size(current_database()), now(),"
        " current_setting('server_version_num')::int"
    ).fetchone()
    assert row is not None
    snapshot, size, moment, version = row
    expected = _expected_bytes(context, size)
    require_free_space(context.folder, expected, "A dump")
    url, password = _without_password(postgres.dsn(context.settings, context.home, postgres.OWNER))
    target = context.folder / f"{name}.sql"
    with files.draft(target, mode=0o600) as draft:
        with progress.track_growth(context.report_progress, "dump", draft, expected):
            dumping = subprocess.Popen(
                [context.program("pg_dump"), "--dbname", url,
                 "--format", "custom", "--compress", "gzip:3", "--snapshot", snapshot,
                 "--no-password", "--file", str(draft)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                env={**os.environ, "PGPASSWORD": password, "LC_ALL": "C"},
            )  # fmt: skip
            # It compresses for as long as all the rest takes; on our half it would do so beside the count.
            cpu_affinity.keep_to(dumping.pid, cpu_affinity.PROCESSORS)
            try:
                tables = fingerprint.take(connection)
                migration = fingerprint.last_migration(connection)
                _, complaint = dumping.communicate()
            finally:
                if dumping.poll() is None:
                    dumping.kill()
                    dumping.wait()
        if dumping.returncode != 0:
            raise OperatorError(f"pg_dump failed: {last_lines(complaint)}")
        digest, bytes_ = records.digest(draft), draft.stat().st_size
    return Record(
        id=name,
        kind="dump",
        created_at=moment.astimezone(UTC),
        seconds=0.0,
        path=target.name,
        bytes=bytes_,
        sha256=digest,
        postgres=version,
        migration=migration,
        tables=tables,
        database_bytes=size,
    )


def restore_bytes(record: Record) -> int:
    """About the bytes that a dump takes in a server of its own, with that server's log."""
    database = record.database_bytes or record.bytes * COMPRESSION
    return EMPTY_SERVER_BYTES + database * 3 // 2


def require_unchanged(context: BackupContext, record: Record) -> None:
    """Compare a dump, or any other backup that is one file, with what was written down of it.

    Raises:
        OperatorError: it is gone, or another.
    """
    path = context.folder / record.path
    if not path.exists():
        raise OperatorError(f"{path} is gone.")
    size = path.stat().st_size
    if size != record.bytes:
        raise OperatorError(f"{path} has {size:,} bytes instead of {record.bytes:,}.")
    stage = f"check {record.id}"
    if (
        records.digest(path, lambda done: context.report_progress(stage, done, size))
        != record.sha256
    ):
        raise OperatorError(f"{path} has changed since it was made: its SHA-256 is another.")


def restore(context: BackupContext, record: Record, url: str, data: Path, jobs: int = 2) -> None:
    """Restore a dump into an empty database.

    Args:
        context: the installation.
        record: the dump.
        url: the database.
        data: the server's data directory, which grows meanwhile.
        jobs: how many tables are restored at once.

    Raises:
        OperatorError: pg_restore failed; what it has restored by then stays, and counts for nothing.
    """
    bare, password = _without_password(url)
    file = context.folder / record.path
    with progress.track_growth(context.report_progress, "restore", data, restore_bytes(record)):
        run_program(
            [context.program("pg_restore"), "--dbname", bare, "--exit-on-error", "--no-password",
             "--jobs", str(jobs), str(file)],
            environment={"PGPASSWORD": password},
        )  # fmt: skip


def table_of_contents(context: BackupContext, file: Path) -> list[str]:
    """The lines of a dump's table of contents.

    Raises:
        OperatorError: pg_restore cannot read it.
    """
    text = run_program([context.program("pg_restore"), "--list", str(file)])
    return [line for line in text.splitlines() if line and not line.startswith(";")]


def _expected_bytes(context: BackupContext, database_bytes: int) -> int:
    """About what the dump will take: what the last one took, else a third of the database."""
    last = records.read(context.folder).newest("dump")
    return last.bytes * 6 // 5 if last else database_bytes // 3


def _without_password(url: str) -> tuple[str, str]:
    """A connection's URL as others may see it in the list of processes, and its password."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    name, _, _ = user.partition(":")
    return urlunsplit(parts._replace(netloc=f"{name}@{host}")), parts.password or ""
