"""Logical backups: a daily dump that any later PostgreSQL can read, and a fingerprint of its content."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit, urlunsplit

import msgspec
import psycopg

from chitlaq.backups import progress, waiting
from chitlaq.backups.catalog import records
from chitlaq.backups.catalog.records import Record
from chitlaq.backups.context import (
    BackupContext,
    new_backup_id,
    pin_backend,
    require_free_space,
    run_program,
)
from chitlaq.backups.postgres import fingerprint
from chitlaq.core.data import postgres
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import cpu_affinity, files, programs
from chitlaq.core.installation.secrets import POSTGRES_ROLES

LATEST = "latest_backup.sql"
# Assumed compression of a dump whose record lacks the database's size.
COMPRESSION = 8
RESTORE_JOBS = "2"  # how many tables are restored in parallel
EMPTY_SERVER_BYTES = 80_000_000

_OTHER_ROLES = (
    "SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' AND rolname <> ALL(%s) ORDER BY 1"
)


def take(context: BackupContext) -> Record:
    """Dump the database, and fingerprint its content in the same snapshot.

    The dump is in pg_dump's custom format, compressed: `pg_restore` of this and every later version can
    restore it, in parallel or table by table.

    Raises:
        OperatorError: the database is down, the disk is too small, or pg_dump failed.
    """
    name = new_backup_id("chitlaq")
    begun = monotonic()
    try:
        url = postgres.dsn(context.settings, context.home, postgres.OWNER)
        with waiting.connect(url) as connection:
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
    roles = connection.execute(_OTHER_ROLES, [list(POSTGRES_ROLES)]).fetchall()
    expected = _expected_bytes(context, size)
    require_free_space(context.folder, expected, "A dump")
    url, password = _without_password(postgres.dsn(context.settings, context.home, postgres.OWNER))
    target = context.folder / f"{name}.sql"
    with files.draft(target, mode=0o600) as draft:
        with progress.track_growth(context.report_progress, "dump", draft, expected):
            words = [
                context.program("pg_dump"), "--dbname", url,
                "--format", "custom", "--compress", "gzip:3", "--snapshot", snapshot,
                "--no-password", "--lock-wait-timeout", "60s", "--file", str(draft),
            ]  # fmt: skip
            with tempfile.TemporaryFile() as log:
                dumping = programs.start(
                    words,
                    output=log,
                    environment={**os.environ, "PGPASSWORD": password, "LC_ALL": "C"},
                    # Compressing takes as long as fingerprinting, and on the background CPUs would
                    # compete with it.
                    cpus=cpu_affinity.CPUS,
                )
                try:
                    tables = fingerprint.take(connection)
                    migration = fingerprint.last_migration(connection)
                    code = waiting.exit_code(dumping, "pg_dump")
                finally:
                    programs.stop(dumping, grace_seconds=0)
                log.seek(0)
                said = log.read().decode(errors="replace")
        if code != 0:
            raise OperatorError(f"pg_dump failed: {programs.last_lines(said)}")
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
        roles=tuple(name for (name,) in roles),
    )


def restore_bytes(record: Record) -> int:
    """The approximate disk space for a dump in a separate server, including that server's WAL."""
    database = record.database_bytes or record.bytes * COMPRESSION
    return EMPTY_SERVER_BYTES + database * 3 // 2


def require_unchanged(context: BackupContext, record: Record) -> None:
    """Verify a dump, or any other backup that is one file, against its record.

    Raises:
        OperatorError: it is missing or has changed.
    """
    path = context.folder / record.path
    if not path.exists():
        raise OperatorError(f"{path} is missing.")
    size = path.stat().st_size
    if size != record.bytes:
        raise OperatorError(f"{path} has {size:,} bytes instead of {record.bytes:,}.")
    stage = f"check {record.id}"
    if (
        records.digest(path, lambda done: context.report_progress(stage, done, size))
        != record.sha256
    ):
        raise OperatorError(f"{path} has changed since it was made: its SHA-256 differs.")


def restore(
    context: BackupContext, record: Record, url: str, data: Path, work: Callable[[], object]
) -> None:
    """Restore a dump into an empty database.

    Args:
        record: the dump.
        url: the database.
        data: the server's data directory, which grows meanwhile.
        work: returns what changes while the server works.

    Raises:
        OperatorError: pg_restore failed; the database is incomplete.
    """
    bare, password = _without_password(url)
    file = context.folder / record.path
    with progress.track_growth(context.report_progress, "restore", data, restore_bytes(record)):
        run_program(
            [context.program("pg_restore"), "--dbname", bare, "--exit-on-error", "--no-password",
             "--no-tablespaces", "--jobs", RESTORE_JOBS, str(file)],
            variables={"PGPASSWORD": password},
            progress=work,
        )  # fmt: skip


def table_of_contents(context: BackupContext, file: Path) -> list[str]:
    """The lines of a dump's table of contents.

    Raises:
        OperatorError: pg_restore cannot read it.
    """
    text = run_program([context.program("pg_restore"), "--list", str(file)])
    return [line for line in text.splitlines() if line and not line.startswith(";")]


def _expected_bytes(context: BackupContext, database_bytes: int) -> int:
    """The expected size of the dump: that of the last one with a margin, else a third of the database."""
    last = records.read(context.folder).newest("dump")
    return last.bytes * 6 // 5 if last else database_bytes // 3


def _without_password(url: str) -> tuple[str, str]:
    """A connection URL that is safe to show in the process list, and its password."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    name, _, _ = user.partition(":")
    return urlunsplit(parts._replace(netloc=f"{name}@{host}")), parts.password or ""
