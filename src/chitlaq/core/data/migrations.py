"""Prepare a database for this version: create roles, then apply migrations, forwards only.

An older version can come back: each migration says in the database from which version on it works with it.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql
from yoyo import get_backend, read_migrations

from chitlaq import __version__, inventory
from chitlaq.core import versions
from chitlaq.core.data import postgres, postgres_hosts
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import BACKUP, POSTGRES_ROLES, SUPERUSER, Secrets
from chitlaq.core.installation.settings import Settings

CONNECT_SECONDS = 5
LOCK_SECONDS = 1.0
"""How long a migration waits for a table: whoever comes after it waits as long."""
LOCK_TRIES = 60
ANY_VERSION = "0"
# An arbitrary number that nothing else locks.
_LOCK = 0x43_68_69_74_4C_61_71
_WORKS_FROM = re.compile(r"^-- Works from (\d[\w.]*)\.?$", re.MULTILINE)


def provision(settings: Settings, home: Home) -> None:
    """Create the roles, the database and whatever needs a superuser; keep what exists.

    Raises:
        OperatorError: the server is unreachable, or the user of ``DATABASE_URL`` lacks privileges.
    """
    secrets = Secrets(home.secrets)
    maintenance = None if settings.database_url else SUPERUSER
    url = postgres.dsn(settings, home, SUPERUSER, maintenance)
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
            # A synchronous archive has no receiver yet.
            connection.execute("SET synchronous_commit = local")
            for role in POSTGRES_ROLES:
                if role != SUPERUSER:
                    _ensure_role(connection, role, secrets.postgres_password(role))
            for row in inventory.SERVICES:
                # A process that stops within a transaction must not keep its locks.
                connection.execute(
                    sql.SQL("ALTER ROLE {} SET idle_in_transaction_session_timeout = '20s'").format(
                        sql.Identifier(row.role)
                    )
                )
            _ensure_database(connection, _database_name(settings))
            _let_see_statistics(connection)
            _let_read_everything(connection)
            if settings.embeds("postgres"):
                _let_archive(connection, is_wanted=settings.backups.archive != "off")
        for database in {_database_name(settings), maintenance or _database_name(settings)}:
            url = postgres.dsn(settings, home, SUPERUSER, database)
            with psycopg.connect(
                url, autocommit=True, connect_timeout=CONNECT_SECONDS
            ) as connection:
                connection.execute("SET synchronous_commit = local")
                _ensure_statistics(connection)
    except psycopg.OperationalError as error:
        raise OperatorError(f"PostgreSQL is not reachable: {_first_line(error)}.") from None
    except psycopg.errors.InsufficientPrivilege as error:
        raise OperatorError(
            f"The user of DATABASE_URL may not prepare the database ({_first_line(error)}):"
            " give it CREATEROLE and the ownership of the database, or name a superuser."
        ) from None


def apply(settings: Settings, home: Home) -> Sequence[str]:
    """Apply pending migrations and return their names.

    Each runs in a transaction. Other processes wait for an advisory lock, which PostgreSQL releases
    with the connection; yoyo's own lock is a row that a killed process would leave behind.

    Raises:
        OperatorError: the server is unreachable, a table is held by somebody else for too long, or a newer
            version of ChitLaq has taken away what this one needs.
    """
    url = postgres.dsn(settings, home, postgres.OWNER)
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS) as lock:
            lock.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
            return _apply(url, lock)
    except psycopg.OperationalError as error:
        raise OperatorError(f"PostgreSQL is not reachable: {_first_line(error)}.") from None


def _apply(url: str, connection: psycopg.Connection) -> Sequence[str]:
    if postgres_hosts.has_several(url):
        # yoyo knows one host: the one that holds the lock.
        url = postgres_hosts.with_host(url, connection.info.host, connection.info.port)
    backend = get_backend(url.replace("postgresql://", "postgresql+psycopg://", 1))
    migrations = read_migrations(str(resources.files("chitlaq").joinpath("migrations")))
    try:
        known = {migration.hash for migration in migrations}
        require_workable(connection, set(backend.get_applied_migration_hashes()) - known)
        waiting = backend.to_apply(migrations)
        for migration in waiting:
            _apply_one(backend, migration)
            grant_schemas(connection)
        grant_schemas(connection)
        _note_versions(connection, migrations)
    finally:
        backend.connection.close()
    return [migration.id for migration in waiting]


def _apply_one(backend: Any, migration: Any) -> None:
    """Apply a migration and note it, in one transaction.

    It gives way to who holds a table, or all others would queue behind it.

    Raises:
        OperatorError: somebody holds a table for too long.
    """
    for _ in range(LOCK_TRIES):
        try:
            # yoyo's own function notes it in a second transaction: after a kill in between, none
            # could be applied any more.
            with backend.transaction():
                cursor = backend.cursor()
                cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS:g}s'")
                cursor.execute(Path(migration.path).read_text())
                backend.log_migration(migration, "apply")
                backend.mark_one(migration, log=False)
        except psycopg.errors.LockNotAvailable as error:
            held = _first_line(error)
            time.sleep(LOCK_SECONDS)
        else:
            return
    raise OperatorError(
        f"{migration.id} was not applied: {held}. `chitlaq ops check database.locks` names who holds a"
        " lock for long; then try again."
    )


def require_workable(connection: psycopg.Connection, unknown: Iterable[str]) -> None:
    """Accept migrations of a newer version that take nothing away from this one.

    Raises:
        OperatorError: this version does not work with one of them, or nobody knows.
    """
    missing = set(unknown)
    if missing and _has_versions(connection):
        rows = connection.execute(
            "SELECT migration_hash, works_from FROM chitlaq_migration_versions"
        ).fetchall()
        missing -= {name for name, oldest in rows if not versions.is_older(__version__, oldest)}
    if missing:
        raise OperatorError(
            "The database was used by a newer version of ChitLaq, which this one does not work with: run"
            " that version, or restore a backup of this one. Migrations only go forwards."
        )


def works_from(text: str) -> str:
    """The oldest version that works with a migration, as its line ``-- Works from 1.2.0`` says.

    Without that line it only adds, and every version does (`ANY_VERSION`).
    """
    found = _WORKS_FROM.search(text)
    return found[1].rstrip(".") if found else ANY_VERSION


def _note_versions(connection: psycopg.Connection, migrations: Iterable[Any]) -> None:
    """Let older versions know whether they work with what this one has applied."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO chitlaq_migration_versions VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            [(one.hash, __version__, works_from(Path(one.path).read_text())) for one in migrations],
        )


def _has_versions(connection: psycopg.Connection) -> bool:
    row = connection.execute("SELECT to_regclass('public.chitlaq_migration_versions')").fetchone()
    return row is not None and row[0] is not None


def grant_schemas(connection: psycopg.Connection) -> None:
    """Give each service its own schema, once: the tables there, and those of later migrations."""
    for row in inventory.SERVICES:
        is_new = connection.execute(
            "SELECT FROM pg_namespace n WHERE nspname = %s AND NOT EXISTS"
            " (SELECT FROM pg_default_acl WHERE defaclnamespace = n.oid AND defaclobjtype = 'r')",
            [row.setting],
        ).fetchone()
        if is_new is not None:
            connection.execute(
                sql.SQL(
                    """
                    GRANT USAGE ON SCHEMA {0} TO {1};
                    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {0} TO {1};
                    ALTER DEFAULT PRIVILEGES IN SCHEMA {0}
                        GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {1}
                    """
                ).format(sql.Identifier(row.setting), sql.Identifier(row.role))
            )


def _ensure_role(connection: psycopg.Connection, role: str, password: str) -> None:
    exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    action = sql.SQL("ALTER" if exists else "CREATE")
    connection.execute(
        sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(
            action, sql.Identifier(role), sql.Literal(password)
        )
    )


def _ensure_database(connection: psycopg.Connection, name: str) -> None:
    row = connection.execute(
        "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", [name]
    ).fetchone()
    owner, database = sql.Identifier(postgres.OWNER), sql.Identifier(name)
    connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(owner))
    if row is None:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'").format(
                database, owner
            )
        )
    elif row[0] != postgres.OWNER:
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, owner))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    for role in POSTGRES_ROLES:
        if role not in {SUPERUSER, postgres.OWNER}:
            connection.execute(
                sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, sql.Identifier(role))
            )


def _ensure_statistics(connection: psycopg.Connection) -> None:
    """Enable pg_stat_statements, the source of the runbook's slow statements, if the server loads it."""
    loaded = connection.execute("SHOW shared_preload_libraries").fetchone()
    if loaded and "pg_stat_statements" in loaded[0]:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")


def _let_see_statistics(connection: psycopg.Connection) -> None:
    """Let ops-service see every session; the user of ``DATABASE_URL`` may be unable to grant that."""
    with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
        connection.execute("GRANT pg_monitor TO chitlaq_ops")


def _let_read_everything(connection: psycopg.Connection) -> None:
    """Let the owner back up and compare tables that another role made, such as an administrator by hand.

    The user of ``DATABASE_URL`` may be unable to grant that: then only the owner's tables are backed up.
    """
    with contextlib.suppress(psycopg.errors.InsufficientPrivilege), connection.transaction():
        connection.execute(
            sql.SQL("GRANT pg_read_all_data, pg_maintain TO {0}; ALTER ROLE {0} BYPASSRLS").format(
                sql.Identifier(postgres.OWNER)
            )
        )


def _let_archive(connection: psycopg.Connection, *, is_wanted: bool) -> None:
    """Let `BACKUP` copy the server, and keep WAL for it up to max_slot_wal_keep_size.

    Migrations run before anything receives WAL, so they must not wait for a synchronous archive.
    """
    row = connection.execute(
        "SELECT wal_status = 'lost' FROM pg_replication_slots WHERE slot_name = %s", [BACKUP]
    ).fetchone()
    if row is not None and (row[0] or not is_wanted):
        connection.execute("SELECT pg_drop_replication_slot(%s)", [BACKUP])
    if not is_wanted:
        return
    connection.execute(
        sql.SQL(
            """
            ALTER ROLE {0} REPLICATION;
            ALTER ROLE {1} SET synchronous_commit = local;
            GRANT pg_read_all_settings, pg_read_all_stats, pg_checkpoint TO {0};
            GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean), pg_backup_stop(boolean),
                pg_switch_wal(), pg_create_restore_point(text) TO {0}
            """
        ).format(sql.Identifier(BACKUP), sql.Identifier(postgres.OWNER))
    )
    if row is None or row[0]:
        connection.execute("SELECT pg_create_physical_replication_slot(%s, true)", [BACKUP])


def _database_name(settings: Settings) -> str:
    return urlsplit(settings.database_url.reveal()).path.lstrip("/") or postgres.DATABASE


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
