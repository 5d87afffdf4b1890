"""The memory of operations: runs, notes, actions, alerts and claims, in one SQLite file.

What watches PostgreSQL must not stand on it, so this needs nothing but a disk. What a full disk keeps
out waits in shared memory (`overflow`), and ops-service stores it when there is room again.

ops-service and commands open the file side by side: SQLite admits one writer at a time, readers always
see whole transactions, and a commit is on the disk when it returns (WAL mode, ``synchronous=FULL``).
"""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from time import monotonic, sleep
from typing import Self, TypeVar
from uuid import UUID

from chitlaq.core.data import named_queries
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files
from chitlaq.core.installation.home import Home
from chitlaq.core.telemetry import logs
from chitlaq.ops.database import overflow

T = TypeVar("T")
Argument = str | int | float | None
Statement = tuple[str, Sequence[Argument]]
"""The name of a query, and its arguments as SQLite stores them."""

QUERY_PACKAGES = (
    "chitlaq.ops.history", "chitlaq.ops.actions", "chitlaq.ops.schedule", "chitlaq.ops.report",
    "chitlaq.ops.incidents", "chitlaq.ops.escalation", "chitlaq.ops.oncall", "chitlaq.ops.watchdog",
    "chitlaq.ops.statuspage", "chitlaq.ops.console", "chitlaq.ops.lease",
)  # fmt: skip
BUSY_SECONDS = 5.0
WORKS_FROM = 7
"""How many of the scripts a version must know to work with the file. A script that takes something away
raises it, one version after the last that uses that."""
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_UNAVAILABLE = frozenset({
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOLFS, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_READONLY,
})  # fmt: skip
# Of a file with as many scripts as ours, or fewer, which were not the same.
_OTHER_SCHEMA = re.compile(
    "no such (table|column|index)|has no column named|already exists|duplicate column name"
)
_creating = threading.Lock()

log = logs.get("ops-database")


class OpsDatabaseUnavailableError(OperatorError):
    """The file cannot be read or written now: the disk is full or read-only, or the file damaged."""


def statement(name: str, *args: object) -> Statement:
    """Return a query with its arguments: moments as RFC 3339 in UTC, and ids as text.

    Raises:
        OperatorError: a number has more than 64 bits.
    """
    return name, [_stored(one) for one in args]


def moment(at: datetime) -> str:
    """Return a moment as the database has it: of one length, so that texts sort as moments do."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def _stored(value: object) -> Argument:
    match value:
        case datetime():
            return moment(value)
        case UUID():
            return str(value)
        case int() if not -(2**63) <= value < 2**63:
            raise OperatorError(
                "This number is too large: the operations database has 64 bits for it."
            )
        case str() | int() | float() | None:
            return value
        case _:
            raise TypeError(f"SQLite stores no {type(value).__name__}")


@cache
def _queries() -> Mapping[str, str]:
    return {
        one.name: one.sql for one in named_queries.load(*QUERY_PACKAGES, file_name="sqlite.sql")
    }


class Transaction:
    """Named queries within a transaction, for decisions that depend on what is stored."""

    def __init__(self, opened: sqlite3.Connection) -> None:
        self._opened = opened

    def rows(self, name: str, *args: object) -> list[sqlite3.Row]:
        """Return the rows of a query."""
        return self._run(*statement(name, *args)).fetchall()

    def write(self, *statements: Statement) -> None:
        """Run statements."""
        for one in statements:
            self._run(*one)

    def _run(self, name: str, args: Sequence[Argument]) -> sqlite3.Cursor:
        return self._opened.execute(_queries()[name], args)


class OpsDatabase:
    """One process's connections, one that reads and one that writes: WAL lets no reader wait for a writer.

    Args:
        home: the installation.
        is_keeper: whether this is ops-service, which checks the file and sets a damaged one aside.
    """

    def __init__(self, home: Home, *, is_keeper: bool = False) -> None:
        self._home = home
        self._reader = _Connection(home, is_keeper=is_keeper, is_checked=False)
        self._writer = _Connection(home, is_keeper=is_keeper, is_checked=is_keeper)

    async def rows(self, name: str, *args: object) -> list[sqlite3.Row]:
        """Return the rows of a query, also of one that writes with ``RETURNING``.

        Raises:
            OpsDatabaseUnavailableError: with the reason.
        """
        (query, bound) = statement(name, *args)
        sql = _queries()[query]
        connection = self._reader if sql.startswith("SELECT") else self._writer
        return await connection.run(lambda opened: opened.execute(sql, bound).fetchall())

    async def write(self, *statements: Statement) -> int:
        """Run statements in one transaction, and return how many rows the last one changed.

        Raises:
            OpsDatabaseUnavailableError: nothing was written.
        """

        def written(opened: sqlite3.Connection) -> int:
            changed = 0
            opened.execute("BEGIN IMMEDIATE")
            for name, args in statements:
                changed = opened.execute(_queries()[name], args).rowcount
            opened.execute("COMMIT")
            return changed

        return await self._writer.run(written)

    async def transact(self, work: Callable[[Transaction], T]) -> T:
        """Run work in one transaction that nobody else writes beside; an exception undoes all of it.

        Raises:
            OpsDatabaseUnavailableError: nothing was written.
        """

        def done(opened: sqlite3.Connection) -> T:
            opened.execute("BEGIN IMMEDIATE")
            result = work(Transaction(opened))
            opened.execute("COMMIT")
            return result

        return await self._writer.run(done)

    async def keep(self, *statements: Statement) -> str:
        """Write, or keep the statements in shared memory until there is room on the disk.

        Statements may run late and twice, so their result must be the same then.

        Returns:
            Why they were not written, or an empty string.

        Raises:
            OSError: shared memory cannot be written either.
        """
        try:
            # In their order: what ends something must not be stored before it.
            await self.write_overflow()
            await self.write(*statements)
        except OpsDatabaseUnavailableError as error:
            await asyncio.to_thread(overflow.put, self._home, statements)
            log.warning("kept in memory until there is room", error=str(error))
            return str(error)
        return ""

    async def has_overflow(self) -> bool:
        """Return whether anything waits in shared memory."""
        return bool(await asyncio.to_thread(overflow.waiting, self._home))

    async def write_overflow(self) -> int:
        """Write what waits in shared memory, oldest first, and return how many transactions.

        Raises:
            OpsDatabaseUnavailableError: there is still no room; the rest keeps waiting.
        """
        written = 0
        for path in overflow.waiting(self._home):
            if (statements := overflow.read(path)) is not None:
                try:
                    await self.write(*statements)
                except (sqlite3.Error, KeyError, TypeError, OverflowError) as error:
                    overflow.set_aside(path, error)
                    continue
                path.unlink(missing_ok=True)
                written += 1
        return written

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


class _Connection:
    """A connection, opened at the first query and again after a fault, and the thread that it works in.

    The thread is its own: queries that wait for a locked file must not use up the threads in which a
    process resolves names, reads files and probes servers.
    """

    def __init__(self, home: Home, *, is_keeper: bool, is_checked: bool) -> None:
        self._home = home
        self._is_keeper = is_keeper
        self._is_checked = is_checked
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "ops-database")

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do the work, which waits for others' locks until `BUSY_SECONDS` after it was asked for.

        So many that wait at once wait no longer than one.
        """
        until = monotonic() + BUSY_SECONDS
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._run_here, work, until)

    def close(self) -> None:
        self._thread.shutdown(wait=False)
        with self._lock:
            self._drop()

    def _run_here(self, work: Callable[[sqlite3.Connection], T], until: float) -> T:
        with self._lock:
            try:
                try:
                    return self._attempt(work, until)
                except sqlite3.DatabaseError as error:
                    if not self._is_keeper or _class_of(error) not in _DAMAGE:
                        raise
                    self._set_aside(error)
                    return self._attempt(work, until)
            except sqlite3.DatabaseError as error:
                if _class_of(error) in _DAMAGE:
                    raise OpsDatabaseUnavailableError(
                        f"{self._home.ops_database} is damaged ({error}): ops-service sets it aside and"
                        " goes on with a new one. See `chitlaq ps`."
                    ) from error
                if _OTHER_SCHEMA.search(str(error)):
                    raise OpsDatabaseUnavailableError(
                        f"{self._home.ops_database} does not have the tables of this version ({error}): a"
                        " version that was never released has written it. Stop ChitLaq, move the folder"
                        f" {self._home.ops_database.parent} away, and start it again: it begins a new one."
                    ) from error
                if _class_of(error) in _UNAVAILABLE:
                    raise OpsDatabaseUnavailableError(
                        f"{self._home.ops_database}: {error}"
                    ) from error
                raise

    def _attempt(self, work: Callable[[sqlite3.Connection], T], until: float) -> T:
        opened = self._opened(until)
        try:
            _wait_until(opened, until)
            return work(opened)
        except BaseException:
            with suppress(sqlite3.Error):
                if opened.in_transaction:
                    opened.execute("ROLLBACK")
            raise

    def _opened(self, until: float) -> sqlite3.Connection:
        path = self._home.ops_database
        if self._connection is not None:
            # A connection to a file that was deleted or set aside would still accept everything.
            with suppress(OSError):
                if path.stat().st_ino == self._inode:
                    return self._connection
            self._drop()
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Only to create it: closing a file ends all locks that this process holds on it, and no other
            # thread may have one by then. Without its lock, the next program that closes the file takes
            # the log away from under us.
            with _creating, suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            self._inode = path.stat().st_ino
        except OSError as error:
            raise OpsDatabaseUnavailableError(f"{path}: {error.strerror}") from error
        opened = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        opened.row_factory = sqlite3.Row
        try:
            _wait_until(opened, until)
            _use_wal(opened, until)
            opened.execute("PRAGMA synchronous = FULL")
            opened.execute("PRAGMA foreign_keys = ON")
            _migrate(opened)
            if self._is_checked and (found := _faults(opened)):
                raise _damaged(found)
        except BaseException:
            opened.close()
            raise
        self._connection = opened
        return opened

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _set_aside(self, error: sqlite3.Error) -> None:
        """Rename the folder: a new file must never meet the log of the damaged one.

        Raises:
            OpsDatabaseUnavailableError: it stays where it is.
        """
        self._drop()
        path = self._home.ops_database
        with suppress(FileNotFoundError):
            if path.stat().st_ino != self._inode:
                return  # It was set aside already, and what is here now is the new one.
        folder = path.parent
        aside = folder.with_name(f"{folder.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}Z")
        try:
            files.durable_rename(folder, aside)
        except OSError as fault:
            raise OpsDatabaseUnavailableError(
                f"{path} is damaged ({error}) and cannot be set aside: {fault.strerror}"
            ) from fault
        log.error("damaged database set aside", path=str(aside), error=str(error))


def _class_of(error: sqlite3.DatabaseError) -> int:
    """The lowest byte of an error's code; only an error that SQLite itself reports has one."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _use_wal(opened: sqlite3.Connection, until: float) -> None:
    # Of several that open a new file, SQLite refuses all but one at once, whatever the timeout.
    while True:
        try:
            opened.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if _class_of(error) != sqlite3.SQLITE_BUSY or monotonic() > until:
                raise
        sleep(0.01)


def _wait_until(opened: sqlite3.Connection, until: float) -> None:
    milliseconds = max(0, round((until - monotonic()) * 1000))
    opened.execute(f"PRAGMA busy_timeout = {milliseconds}")


def _faults(opened: sqlite3.Connection) -> str:
    (said,) = opened.execute("PRAGMA quick_check(1)").fetchone()
    return "" if said == "ok" else said


def _damaged(reason: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(reason)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _migrate(opened: sqlite3.Connection) -> None:
    """Apply the scripts ``NNNN_NAME.sql`` that this file has not seen, each in one transaction.

    An older version can come back: the file says how many scripts a version must know to work with it.

    Raises:
        OpsDatabaseUnavailableError: a newer version of the program has taken away what this one needs.
    """
    folder = resources.files(__package__).joinpath("migrations")
    scripts = sorted(folder.iterdir(), key=lambda one: one.name)
    if _version(opened) == len(scripts):
        return
    opened.execute("BEGIN IMMEDIATE")
    known = _version(opened)
    if known > len(scripts):
        opened.execute("ROLLBACK")
        if 0 < _works_from(opened) <= len(scripts):
            return
        raise OpsDatabaseUnavailableError(
            "The operations database was written by a newer version of ChitLaq: use that version."
        )
    for script in scripts[known:]:
        for one in script.read_text().split(";\n"):
            opened.execute(one)
    opened.execute(f"PRAGMA user_version = {len(scripts)}")
    opened.execute(f"PRAGMA application_id = {WORKS_FROM}")
    opened.execute("COMMIT")


def _version(opened: sqlite3.Connection) -> int:
    return int(opened.execute("PRAGMA user_version").fetchone()[0])


def _works_from(opened: sqlite3.Connection) -> int:
    return int(opened.execute("PRAGMA application_id").fetchone()[0])
