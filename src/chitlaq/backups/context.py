"""Shared context of backup jobs: paths, locks, priority."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import psutil

from chitlaq.backups.errors import InconclusiveError
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import cpu_affinity, programs
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.stack.install import users
from chitlaq.stack.servers import barman, postgres

if TYPE_CHECKING:
    import psycopg

ProgressCallback = Callable[[str, int, int], None]
"""Called with a stage, the bytes done and the total bytes."""

NICENESS = 10
# A base backup of terabytes takes hours; a program that takes longer than a day hangs.
PROGRAM_SECONDS = 86_400.0
# How long a program may wait for a server that neither reads nor writes.
STALL_SECONDS = 600.0
# The reserve that stays free: a full disk stops the database.
SPARE_BYTES = 200_000_000


@dataclass(frozen=True, slots=True)
class BackupContext:
    """The installation that a backup job works on, and where it reports progress."""

    home: Home
    settings: Settings
    report_progress: ProgressCallback = lambda _stage, _done, _total: None

    @property
    def folder(self) -> Path:
        """The backup folder."""
        return self.settings.backup_folder(self.home)

    @property
    def barman_folder(self) -> Path:
        """Barman's folder of the server: base backups and the WAL archive."""
        return barman.folder(self.home, self.settings)

    def program(self, name: str) -> str:
        """The path of a PostgreSQL program."""
        return str(postgres.programs(self.settings) / name)


class BusyError(OperatorError):
    """Another process holds the backup lock."""


class InsufficientSpaceError(InconclusiveError):
    """A disk would fill up."""


LOCK = "lock"
WAL_LOCK = "log-lock"


@contextmanager
def wal_lock(home: Home) -> Iterator[None]:
    """Hold the lock on the WAL archive; wait for it.

    It is separate from the backup lock: WAL is archived and copied while a backup job runs.
    """
    home.backup.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (home.backup / WAL_LOCK).open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def exclusive_lock(home: Home, purpose: str, name: str = LOCK) -> Iterator[None]:
    """Hold the backup lock, or the lock on the WAL archive; do not wait for it.

    Raises:
        BusyError: another process holds it; the message says what it is doing.
    """
    home.backup.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (home.backup / name).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise BusyError(
                f"Another backup job is running ({lock.read().strip() or 'unknown'}):"
                " wait for it, or stop it."
            ) from None
        lock.truncate(0)
        lock.write(f"{purpose}, process {os.getpid()}")
        lock.flush()
        try:
            yield
        finally:
            lock.truncate(0)


@contextmanager
def exclusive_session(home: Home, purpose: str, *, is_urgent: bool = False) -> Iterator[None]:
    """Hold the backup lock at low priority; an urgent session runs at normal priority, with the WAL lock.

    Raises:
        BusyError: another process holds the backup lock.
    """
    if not is_urgent:
        lower_priority()
    with exclusive_lock(home, purpose), wal_lock(home) if is_urgent else nullcontext():
        yield


def lower_priority() -> None:
    """Run this process and its children at low CPU and disk priority, on the background CPUs.

    The live server's processes are not its children.
    """
    context = psutil.Process()
    if context.nice() < NICENESS:
        context.nice(NICENESS)
    context.ionice(psutil.IOPRIO_CLASS_IDLE)
    cpu_affinity.pin(context.pid, cpu_affinity.background_cpus())


def pin_backend(context: BackupContext, connection: psycopg.Connection) -> None:
    """Pin the live server's process behind a connection to the background CPUs, if the server is ours."""
    if context.settings.embeds("postgres"):
        cpu_affinity.pin(connection.info.backend_pid, cpu_affinity.background_cpus())


@contextmanager
def private_umask() -> Iterator[None]:
    """Make new files readable by this user only: backups hold all data of all members."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def make_private_folder(folder: Path) -> None:
    """Create a private backup folder; make an existing one private.

    Raises:
        OperatorError: it cannot be created.
    """
    try:
        with private_umask():
            folder.mkdir(parents=True, exist_ok=True)
        now = folder.stat()
        if now.st_uid == os.geteuid() and now.st_mode & 0o007:
            folder.chmod(now.st_mode & 0o770)
    except OSError as error:
        raise OperatorError(
            f"The backup folder {folder} cannot be created: {error.strerror}. Set another one:"
            " backups.folder or CHITLAQ_BACKUPS_FOLDER."
        ) from None


def new_backup_id(kind: str) -> str:
    return f"{kind}_{datetime.now(UTC):%Y%m%dT%H%M%S}"


def require_free_space(folder: Path, wanted: int, purpose: str) -> None:
    """Refuse a step that would fill a disk.

    Raises:
        InsufficientSpaceError: free space is less than wanted plus a reserve.
    """
    with private_umask():
        folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < wanted + SPARE_BYTES:
        raise InsufficientSpaceError(
            f"{purpose} needs about {wanted / 1e6:,.0f} MB in {folder}, which has {free / 1e6:,.0f} MB"
            f" free: delete backups (`chitlaq backup prune`) or set another folder (backups.folder)."
        )


def run_program(words: list[str], **options: Unpack[programs.Options]) -> str:
    """Run a program to its end and return its output.

    Raises:
        OperatorError: it failed; the message quotes its error output. Or it took longer than a day, or made
            no progress for a while where that is measured.
    """
    limit = STALL_SECONDS if "progress" in options else PROGRAM_SECONDS
    return programs.run(words, timeout_seconds=limit, **options).checked()


def chown_to_postgres(path: Path) -> None:
    """Make the user that PostgreSQL runs as the owner of a folder and its content."""
    user = users.service_user()
    if user is None:
        return
    os.chown(path, user.pw_uid, user.pw_gid)
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            os.chown(Path(folder, name), user.pw_uid, user.pw_gid, follow_symlinks=False)


def size_of(path: Path) -> int:
    """The size in bytes of a file, or of all files in a folder; files that vanish meanwhile count as 0."""
    if path.is_file():
        return path.stat().st_size
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            try:
                total += Path(folder, name).lstat().st_size
            except FileNotFoundError:
                continue
    return total
