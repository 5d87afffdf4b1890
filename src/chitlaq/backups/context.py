"""The installation whose backups are made, the lock that lets one do so at a time, and its manners."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from chitlaq.backups.errors import InconclusiveError
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import cpu_affinity
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.stack.install import users
from chitlaq.stack.servers import postgres
from chitlaq.stack.supervisor.process import ends_with_us

if TYPE_CHECKING:
    import psycopg

ProgressCallback = Callable[[str, int, int], None]
"""Told the stage, how many bytes of it are done, and how many there are."""

NICENESS = 10
# What is left free beyond what a step needs: a full disk stops the database.
SPARE_BYTES = 200_000_000


@dataclass(frozen=True, slots=True)
class BackupContext:
    """An installation, and whoever wants to know how far a step is."""

    home: Home
    settings: Settings
    report_progress: ProgressCallback = lambda _stage, _done, _total: None

    @property
    def folder(self) -> Path:
        """The folder of backups."""
        return self.settings.backup_folder(self.home)

    def program(self, name: str) -> str:
        """One of PostgreSQL's own programs."""
        return str(postgres.programs(self.home) / name)


class BusyError(OperatorError):
    """Another process is at the backups."""


class InsufficientSpaceError(InconclusiveError):
    """A disk would be full."""


LOCK = "lock"
WAL_LOCK = "log-lock"


@contextmanager
def wal_lock(home: Home) -> Iterator[None]:
    """Hold the lock under which the archived log changes, waiting for whoever has it.

    It is another than that of the backups: the log is archived and sent while the day's work goes on.
    """
    home.backup.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (home.backup / WAL_LOCK).open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def exclusive_lock(home: Home, purpose: str, name: str = LOCK) -> Iterator[None]:
    """Hold the lock under which backups are made, looked at, restored and deleted; or that of the log.

    Raises:
        BusyError: another process holds it, named with what it does.
    """
    home.backup.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (home.backup / name).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise BusyError(
                f"Another process is at the backups ({lock.read().strip() or 'it did not say what'}):"
                " wait for its end, or stop it."
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
    """Let this process, and all that it starts, come after everything else at processor and disk.

    It keeps to half of the processors. The processes of the live server are not among those that it
    starts.
    """
    context = psutil.Process()
    if context.nice() < NICENESS:
        context.nice(NICENESS)
    context.ionice(psutil.IOPRIO_CLASS_IDLE)
    cpu_affinity.keep_to(context.pid, cpu_affinity.half())


def pin_backend(context: BackupContext, connection: psycopg.Connection) -> None:
    """Let the live server's process behind a connection keep to our half, too; one elsewhere is not ours."""
    if context.settings.embeds("postgres"):
        cpu_affinity.keep_to(connection.info.backend_pid, cpu_affinity.half())


@contextmanager
def private_umask() -> Iterator[None]:
    """Let nobody else read what is written meanwhile: it holds all that members have."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def make_private_folder(folder: Path) -> None:
    """Make a folder of backups, which nobody else may enter; one that is there is closed to others.

    Raises:
        OperatorError: it cannot be made.
    """
    try:
        with private_umask():
            folder.mkdir(parents=True, exist_ok=True)
        now = folder.stat()
        if now.st_uid == os.geteuid() and now.st_mode & 0o007:
            folder.chmod(now.st_mode & 0o770)
    except OSError as error:
        raise OperatorError(
            f"The folder of backups {folder} cannot be made: {error.strerror}. Another one:"
            " backups.folder, or CHITLAQ_BACKUPS_FOLDER."
        ) from None


def new_backup_id(kind: str) -> str:
    return f"{kind}_{datetime.now(UTC):%Y%m%dT%H%M%S}"


def require_free_space(folder: Path, wanted: int, purpose: str) -> None:
    """Refuse what would fill a disk.

    Raises:
        NoRoomError: less is free than is wanted and some more.
    """
    with private_umask():
        folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < wanted + SPARE_BYTES:
        raise InsufficientSpaceError(
            f"{purpose} needs about {wanted / 1e6:,.0f} MB in {folder}, where {free / 1e6:,.0f} MB are"
            f" free: make room (`chitlaq backup prune`), or choose another folder (backups.folder)."
        )


def run_program(
    words: list[str],
    *,
    user: pwd.struct_passwd | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> str:
    """Run a program to its end, and return what it printed.

    Raises:
        OperatorError: it failed, with what it said.
    """
    done = subprocess.run(
        words,
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C", **(environment or {})},
        user=user.pw_uid if user else None,
        group=user.pw_gid if user else None,
        extra_groups=[] if user else None,
        preexec_fn=ends_with_us,
    )
    if done.returncode != 0:
        raise OperatorError(
            f"{Path(words[0]).name} failed: {last_lines(done.stderr or done.stdout)}"
        )
    return done.stdout


def last_lines(text: str, lines: int = 3) -> str:
    """The end of what a program said, on one line."""
    said = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return " | ".join(said[-lines:]) or "it said nothing"


def chown_to_postgres(path: Path) -> None:
    """Let the user that PostgreSQL runs as own a folder and what is in it."""
    user = users.service_user()
    if user is None:
        return
    os.chown(path, user.pw_uid, user.pw_gid)
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            os.chown(Path(folder, name), user.pw_uid, user.pw_gid, follow_symlinks=False)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; what goes away meanwhile counts nothing."""
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
