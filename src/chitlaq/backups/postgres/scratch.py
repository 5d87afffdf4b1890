"""Scratch servers: temporary PostgreSQL servers for restored backups, separate from the live one."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil
import psycopg

from chitlaq.backups.context import BackupContext, chown_to_postgres
from chitlaq.core.data import postgres
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import programs
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.ports import free_ports
from chitlaq.core.installation.settings import Settings
from chitlaq.stack.install import users
from chitlaq.stack.servers import postgres as server

PREFIX = "chitlaq_drill_"
SOCKETS = "sockets"
START_SECONDS = 60
STOP_SECONDS = 60
POLL_SECONDS = 0.1

_REFUSALS = (
    "the database system is starting up",
    "the database system is not yet accepting connections",
    "the database system is shutting down",
    "Consistent recovery state has not been yet reached.",
)

# Only users that may enter the socket's folder connect without a password.
_ACCESS = """\
local all all trust
host all all 127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True, slots=True)
class ScratchFolder:
    """A randomly named folder for a temporary server.

    Args:
        context: the installation whose backup is restored.
        root: the folder; the data directory is ``root/postgres``.
        sockets: the folder of the server's sockets; its path is short.
    """

    context: BackupContext
    root: Path
    sockets: Path

    @property
    def home(self) -> Home:
        """A separate home with the live one's secrets."""
        return Home(self.root)

    @property
    def data(self) -> Path:
        return self.home.postgres_data


@contextmanager
def scratch_folder(context: BackupContext) -> Iterator[ScratchFolder]:
    """Create an empty scratch folder, and delete it with its content at the end.

    What killed drills left behind is deleted first.
    """
    remove_leftovers(context)
    root = context.home.backup / "scratch" / f"{PREFIX}{secrets.token_hex(4)}"
    root.mkdir(parents=True, mode=0o755)
    for folder in (context.home.root, context.home.backup, root.parent):
        # The postgres user must be able to traverse it.
        folder.chmod(folder.stat().st_mode | 0o011)
    (root / "secrets").symlink_to(context.home.secrets)
    sockets = Path(tempfile.mkdtemp(prefix=PREFIX))
    # This link lets the next drill find it after a kill.
    (root / SOCKETS).symlink_to(sockets)
    chown_to_postgres(sockets)
    (sockets / "secrets").symlink_to(context.home.secrets)
    try:
        yield ScratchFolder(context, root, sockets)
    finally:
        shutil.rmtree(sockets, ignore_errors=True)
        shutil.rmtree(root, ignore_errors=True)


def remove_leftovers(context: BackupContext) -> None:
    """Stop servers of killed drills and restores, and delete their folders."""
    restoring = server_on(context.home.restoring_data)
    if restoring is not None:
        _kill(restoring)
    for root in (context.home.backup / "scratch").glob(f"{PREFIX}*"):
        process = server_on(root / "postgres")
        if process is not None:
            _kill(process)
        with contextlib.suppress(OSError):
            sockets = (root / SOCKETS).readlink()
            if sockets.name.startswith(PREFIX):
                shutil.rmtree(sockets, ignore_errors=True)
        shutil.rmtree(root, ignore_errors=True)


def server_on(data: Path) -> psutil.Process | None:
    """The server process that runs on a data directory, if there is one."""
    with contextlib.suppress(OSError, ValueError, IndexError, psutil.Error):
        process = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
        if process.is_running() and str(data) in process.cmdline():
            return process
    return None


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.Error):
        process.send_signal(signal.SIGQUIT)
        process.wait(STOP_SECONDS)


@dataclass(frozen=True, slots=True)
class ScratchServer:
    """A temporary server that only this user can connect to."""

    context: BackupContext
    sockets: Path
    port: int
    database: str

    def url(self, database: str = "") -> str:
        """The superuser's URL, over the private socket."""
        name = database or self.database
        return f"postgresql://postgres@/{name}?host={self.sockets}&port={self.port}"

    def connect(self, database: str = "") -> psycopg.Connection:
        return psycopg.connect(self.url(database), connect_timeout=5)

    @property
    def home(self) -> Home:
        """A separate home with a short path and the live one's secrets, for services that use this server."""
        return Home(self.sockets)

    @property
    def settings(self) -> Settings:
        """The installation's settings, with this server in place of the live one."""
        return msgspec.structs.replace(
            self.context.settings, database_url=self.url(), redis_url="redis://127.0.0.1:1/0"
        )


@contextmanager
def running_server(
    context: BackupContext,
    data: Path,
    sockets: Path,
    *options: str,
    database: str = postgres.DATABASE,
    is_scratch: bool = True,
    tell: Callable[[int], None] = lambda _: None,
) -> Iterator[ScratchServer]:
    """Run PostgreSQL on a data directory, on its own port and socket, until the block ends.

    Args:
        data: the data directory; never the live one.
        sockets: the folder of its socket.
        options: settings such as ``recovery_target_lsn=0/41E96D0``.
        database: the database to connect to.
        is_scratch: the data is discarded afterwards, so the server need not flush it to disk.
        tell: called with the LSN reached while the server replays WAL.

    Raises:
        OperatorError: the data directory is live, or the server does not start; the message quotes its log.
    """
    live = context.home.postgres_data
    if data.resolve() == live.resolve() or (data / "postmaster.pid").exists():
        raise OperatorError(f"{data} is in use by a live server: nothing was changed.")
    (port,) = free_ports(1)
    access = sockets / "pg_hba.conf"
    access.write_text(_ACCESS)
    chown_to_postgres(sockets)
    user = users.service_user()
    given = [
        f"port={port}",
        "listen_addresses=127.0.0.1",
        f"unix_socket_directories={sockets}",
        "unix_socket_permissions=0700",
        f"hba_file={access}",
        "synchronous_standby_names=",
        "archive_mode=off",
        "log_min_duration_statement=-1",
        *(("fsync=off", "full_page_writes=off", "summarize_wal=off") if is_scratch else ()),
        *options,
    ]
    words = [context.program("postgres"), "-D", str(data)]
    for option in given:
        words += ["-c", option]
    log = sockets / "postgres.log"
    with log.open("wb") as output:
        process = programs.start(
            words,
            output=output,
            environment={**os.environ, "LC_ALL": "C"},
            folder=sockets,
            user=user,
            death_signal=signal.SIGQUIT,
        )
    started = ScratchServer(context, sockets, port, database)
    try:
        _wait_until_open(started, process, log, tell)
        yield started
    finally:
        programs.stop(process, signal.SIGQUIT if is_scratch else signal.SIGINT, STOP_SECONDS)


def _wait_until_open(
    server: ScratchServer, process: programs.RunningProgram, log: Path, tell: Callable[[int], None]
) -> None:
    """Wait until the server accepts connections and has completed recovery."""
    deadline = time.monotonic() + START_SECONDS
    is_recovering = False
    while True:
        if process.poll() is not None:
            raise OperatorError(f"The restored server exited: {_failure_reason(log)}")
        try:
            with psycopg.connect(server.url("postgres"), connect_timeout=5) as connection:
                row = connection.execute(
                    "SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn() - '0/0'"
                ).fetchone()
                assert row is not None
                if not row[0]:
                    return
                tell(int(row[1] or 0))
                is_recovering = True
        except psycopg.OperationalError as error:
            # The server refuses connections with these messages until it is consistent.
            is_recovering |= "starting up" in str(error) or "not yet accepting" in str(error)
        if is_recovering:
            deadline = max(deadline, time.monotonic() + START_SECONDS)
        if time.monotonic() > deadline:
            raise OperatorError(f"The restored server does not respond: {_failure_reason(log)}")
        time.sleep(POLL_SECONDS)


def _failure_reason(log: Path) -> str:
    # Refused connections are our own, from waiting for the server.
    lines = [
        line
        for line in log.read_text(errors="replace").splitlines()
        if not line.endswith(_REFUSALS)
    ]
    bad = [line.partition("@  ")[2] or line for line in lines if "FATAL" in line or "PANIC" in line]
    return programs.last_lines("\n".join(bad[:2] or lines[-3:]))


def init_empty(scratch: ScratchFolder) -> None:
    """Create an empty data directory in a scratch folder, as for the live server."""
    scratch.home.run.mkdir(exist_ok=True)
    apart = msgspec.structs.replace(
        scratch.context.settings.backups, folder=str(scratch.root / "none"), archive="off"
    )
    server.prepare(scratch.home, msgspec.structs.replace(scratch.context.settings, backups=apart))
