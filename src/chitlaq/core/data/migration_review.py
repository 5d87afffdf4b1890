"""What pending migrations will do to a running system, as PostgreSQL itself says, before they run.

Each runs on a scratch database with the same tables and no rows. PostgreSQL then knows which locks it holds,
which tables it wrote anew and which indexes it built. What that takes on the real tables follows from their
sizes. Method: pg_locks within the migration's own transaction, and the catalog before and after it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from psycopg import sql
from yoyo import get_backend, read_migrations

from chitlaq.core import versions
from chitlaq.core.data import migrations, postgres
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import SUPERUSER
from chitlaq.core.installation.settings import Settings

BYTES_PER_SECOND = 20e6
"""What is assumed to be read, checked and written under a lock, on a modest disk beside other work."""
LONGEST_LOCK_SECONDS = 10.0
"""Members' requests wait so long for a lock that they cannot work beside; then they fail."""
BLOCKING = frozenset({"ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"})


class Work(msgspec.Struct, frozen=True):
    """What a migration does to one table that is there before it.

    Args:
        table: with its schema.
        lock: the strongest mode that it holds until its end, as ``pg_locks`` names it.
        bytes: the real table's size, with what belongs to it, as far as it is read or written in whole.
    """

    table: str
    lock: str
    bytes: int

    @property
    def is_blocking(self) -> bool:
        """Whether nobody can write in the table meanwhile."""
        return self.lock in BLOCKING


class Review(msgspec.Struct, frozen=True):
    """What one migration does.

    Args:
        name: the migration's.
        works: the tables that it touches.
        contracts: what it takes away, which the version before it may still use.
        works_from: the oldest version that uses none of that, as the migration says.
    """

    name: str
    works: list[Work]
    contracts: list[str]
    works_from: str = migrations.ANY_VERSION

    @property
    def seconds(self) -> float:
        """For how long it holds its locks, at most about."""
        return sum(work.bytes for work in self.works) / BYTES_PER_SECOND

    @property
    def refusal(self) -> str:
        """Why it must not run beside members; empty if it may."""
        tables = [work.table for work in self.works if work.is_blocking]
        if tables and self.seconds > LONGEST_LOCK_SECONDS:
            return f"locks {', '.join(tables)} for about {self.seconds:.0f} s"
        return ""

    def is_too_new_for(self, version: str) -> bool:
        """Whether it takes away what a version may still use; of an unknown one (``""``) that is assumed."""
        said = self.works_from if self.works_from != migrations.ANY_VERSION else ""
        return bool(self.contracts) and (not said or versions.is_older(version, said))


def pending(settings: Settings, home: Home) -> list[Review]:
    """Return what the migrations of this version will do that the database does not have yet.

    Raises:
        OperatorError: the server is unreachable, this version does not work with what a newer one has
            applied, or no scratch database can be made beside it.
    """
    url = postgres.dsn(settings, home, postgres.OWNER)
    try:
        with psycopg.connect(url, connect_timeout=migrations.CONNECT_SECONDS) as real:
            done = _done(url)
            every = read_migrations(str(resources.files("chitlaq").joinpath("migrations")))
            waiting = [one for one in every if one.hash not in done]
            migrations.require_workable(real, done - {one.hash for one in every})
            if not waiting:
                return []
            sizes: dict[str, int] = dict(real.execute(_SIZES).fetchall())
            with _scratch(settings, home) as scratch:
                for one in every:
                    if one.hash in done:
                        scratch.execute(_text(one))
                        migrations.grant_schemas(scratch)
                        scratch.commit()
                return [_reviewed(scratch, one, sizes) for one in waiting]
    except psycopg.OperationalError as error:
        raise OperatorError(f"PostgreSQL is not reachable: {str(error).strip()}.") from None


def review_of(
    scratch: psycopg.Connection, name: str, text: str, sizes: Mapping[str, int]
) -> Review:
    """Run a migration, and return what it did.

    Args:
        scratch: a database as it is before it; it is committed there.
        name: of the migration.
        text: its statements.
        sizes: the real tables' sizes in bytes.
    """
    files, columns, calls = _catalog(scratch)
    indexes = {row[0] for row in scratch.execute(_INDEXES).fetchall()}
    checks = {row[0] for row in scratch.execute(_CHECKS).fetchall()}
    scratch.execute(text)
    held = scratch.execute(_HELD).fetchall()
    new_files, new_columns, new_calls = _catalog(scratch)
    whole = {table for table in files if table in new_files and files[table] != new_files[table]}
    whole |= {row[1] for row in scratch.execute(_INDEXES).fetchall() if row[0] not in indexes}
    whole |= {
        table
        for check, table, column in scratch.execute(_CHECKS).fetchall()
        # That a new column is filled needs no look at its rows.
        if check not in checks and (column is None or column in columns)
    }
    migrations.grant_schemas(scratch)
    scratch.commit()
    locks: dict[str, str] = {}
    for table, mode in held:
        if table in files and _ORDER.index(mode) >= _ORDER.index(locks.get(table, mode)):
            locks[table] = mode
    # Rows that are changed one by one: as many as there are, for all that is known.
    whole |= {table for table, mode in held if mode == "RowExclusiveLock"}
    works = [
        Work(table, mode, sizes.get(table, 0) if table in whole else 0)
        for table, mode in sorted(locks.items())
        if mode not in _HARMLESS
    ]
    contracts = list(_contracts(columns, new_columns, calls, new_calls))
    return Review(name, works, contracts, migrations.works_from(text))


def _catalog(scratch: psycopg.Connection) -> list[dict[str, str]]:
    """The files of tables, the types of columns, and what functions return, by name."""
    return [dict(scratch.execute(one).fetchall()) for one in (_FILES, _COLUMNS, _CALLS)]


def _contracts(
    columns: Mapping[str, str],
    new_columns: Mapping[str, str],
    calls: Mapping[str, str],
    new_calls: Mapping[str, str],
) -> Iterator[str]:
    """Yield what is not as the version before expects it."""
    relations = {name.rpartition(".")[0] for name in columns}
    for name, kind in columns.items():
        if name not in new_columns:
            yield f"{name} is gone"
        elif new_columns[name] != kind and new_columns[name] != kind.replace(" needed", ""):
            yield f"{name} is {new_columns[name]}, and was {kind}"
    for name, kind in new_columns.items():
        if (
            name not in columns
            and kind.endswith(" needed")
            and name.rpartition(".")[0] in relations
        ):
            yield f"{name} has to be given"
    for name in calls:
        if name not in new_calls:
            yield f"{name} is gone"


def _reviewed(scratch: psycopg.Connection, migration: Any, sizes: Mapping[str, int]) -> Review:
    return review_of(scratch, migration.id, _text(migration), sizes)


def _text(migration: Any) -> str:
    return Path(migration.path).read_text()


def _done(url: str) -> set[str]:
    backend = get_backend(url.replace("postgresql://", "postgresql+psycopg://", 1))
    try:
        return set(backend.get_applied_migration_hashes())
    finally:
        backend.connection.close()


@contextmanager
def _scratch(settings: Settings, home: Home) -> Iterator[psycopg.Connection]:
    """An empty database on the same server, which is dropped afterwards."""
    name = f"chitlaq_review_{secrets.token_hex(4)}"
    maintenance = None if settings.database_url else SUPERUSER
    url = postgres.dsn(settings, home, SUPERUSER, maintenance)
    with psycopg.connect(
        url, autocommit=True, connect_timeout=migrations.CONNECT_SECONDS
    ) as server:
        try:
            server.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'").format(
                    sql.Identifier(name), sql.Identifier(postgres.OWNER)
                )
            )
        except psycopg.errors.InsufficientPrivilege:
            raise OperatorError(
                "The user of DATABASE_URL may not create a database to try migrations in: give it CREATEDB."
            ) from None
        try:
            owner = postgres.dsn(settings, home, postgres.OWNER, name)
            with psycopg.connect(owner) as scratch:
                yield scratch
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


# From the weakest to the strongest (PostgreSQL's manual, 13.3.1).
_ORDER = (
    "AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock",
    "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
)  # fmt: skip
_HARMLESS = _ORDER[:2]
_SIZES = """
SELECT format('%I.%I', n.nspname, c.relname), pg_total_relation_size(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^(pg_|information_schema$|public$)'
"""
_HELD = """
SELECT DISTINCT format('%I.%I', n.nspname, c.relname), l.mode
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND c.relkind IN ('r', 'm', 'p')
    AND n.nspname !~ '^(pg_|information_schema$|public$)'
"""
_INDEXES = """
SELECT i.indexrelid, format('%I.%I', n.nspname, c.relname)
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^(pg_|information_schema$|public$)'
"""
_CHECKS = """
SELECT o.oid, format('%I.%I', n.nspname, c.relname),
    (SELECT format('%I.%I.%I', n.nspname, c.relname, attname) FROM pg_attribute
     WHERE o.contype = 'n' AND attrelid = c.oid AND attnum = o.conkey[1])
FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE o.convalidated AND n.nspname !~ '^(pg_|information_schema$|public$)'
"""
_FILES = """
SELECT format('%I.%I', n.nspname, c.relname), c.relfilenode::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^(pg_|information_schema$|public$)'
"""
# A column is needed if whoever writes a row has to give it.
_COLUMNS = """
SELECT format('%I.%I.%I', n.nspname, c.relname, a.attname),
    format_type(a.atttypid, a.atttypmod)
    || CASE WHEN a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND c.relkind = 'r'
       THEN ' needed' ELSE '' END
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v', 'm') AND a.attnum > 0 AND NOT a.attisdropped
    AND n.nspname !~ '^(pg_|information_schema$|public$)'
"""
_CALLS = """
SELECT p.oid::regprocedure::text, pg_get_function_result(p.oid)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.prokind <> 'a' AND n.nspname !~ '^(pg_|information_schema$|public$)'
"""
