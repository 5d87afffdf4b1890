"""Scratch servers: temporary PostgreSQL servers for restored backups, which cannot reach the live one.

Nothing in a backup decides how its server runs: it gets a configuration of its own, without the backup's
``local.conf``, libraries, workers and replication. Nothing in its data directory leads out of it, and where
the kernel can, it confines the server to its folders and cuts it off from the network.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import msgspec
import psutil
import psycopg

from chitlaq.backups import waiting
from chitlaq.backups.context import BackupContext, chown_to_postgres
from chitlaq.backups.errors import InconclusiveError
from chitlaq.backups.wal import archive
from chitlaq.core.data import postgres
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import processes, programs, quoting
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.ports import free_ports
from chitlaq.core.installation.secret_values import SecretUrl
from chitlaq.core.installation.settings import Settings
from chitlaq.stack.install import users
from chitlaq.stack.servers import postgres as server

PREFIX = "chitlaq_drill_"
SOCKETS = "sockets"
AUTOMATIC = "postgresql.auto.conf"
# How long a server may show no progress: each record that it replays is some.
STALL_SECONDS = 60
STOP_SECONDS = 60
POLL_SECONDS = 0.1
STATUS_LINE = 7
CPU_STEP_SECONDS = 10

# The whole configuration of a scratch server; what a caller adds comes after it.
_CONFIGURATION = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    # Its own shared memory is a file in its data directory.
    "dynamic_shared_memory_type": "mmap",
    # With hot standby, a recovery would wait for an operator if a setting is smaller than on the old server.
    "hot_standby": "off",
    "shared_preload_libraries": "",
    "event_triggers": "off",
    "max_logical_replication_workers": "0",
    "sync_replication_slots": "off",
    # Those of subscriptions are in a base backup; a server with room for fewer does not start.
    "max_active_replication_origins": "1000",
    "archive_mode": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_line_prefix": "",
    "log_startup_progress_interval": "1s",
    # A prepared transaction in the copy may hold a lock for ever.
    "lock_timeout": "60s",
    "jit": "off",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "timezone": "UTC",
}
# Data that is discarded afterwards need not reach the disk, and triggers must not act on the outside: a
# foreign table, say, may be the live server's.
_DISCARDED = {
    "fsync": "off",
    "full_page_writes": "off",
    "session_replication_role": "replica",
    "autovacuum": "off",
}
_REPLAYED = re.compile(r"current LSN: ([0-9A-F]+/[0-9A-F]+)")

# Settings of roles and databases are in the data and outrank the configuration; these outrank them.
_SESSION = {
    "session_preload_libraries": "",
    "local_preload_libraries": "",
    "event_triggers": "off",
    "default_transaction_read_only": "off",
    "statement_timeout": "0",
    "transaction_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "lock_timeout": _CONFIGURATION["lock_timeout"],
    "role": "none",
}

# Only users that may enter the socket's folder connect without a password.
_ACCESS = """\
local all all trust
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


def _kill_at_once(server: programs.RunningProgram) -> None:
    """Kill a server with its backends, which have sessions of their own; one may be frozen."""
    with contextlib.suppress(psutil.Error):
        postmaster = psutil.Process(server.pid)
        for one in (*postmaster.children(recursive=True), postmaster):
            with contextlib.suppress(psutil.Error):
                one.kill()


@dataclass(frozen=True, slots=True)
class ScratchServer:
    """A temporary server that only this user can connect to."""

    context: BackupContext
    sockets: Path
    port: int
    database: str
    process: programs.RunningProgram

    def work_done(self) -> tuple[int, int]:
        """What changes while the server works."""
        return _work_done(self.process)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """End the server if it does nothing for a while, so that a block does not wait for it without end.

        For what does not connect through `connect`: libpq does not notice a server that is frozen.

        Raises:
            InconclusiveError: it was ended.
        """
        is_over, has_stalled = threading.Event(), threading.Event()

        def watch() -> None:
            done, since = self.work_done(), time.monotonic()
            while not is_over.wait(POLL_SECONDS):
                if (now := self.work_done()) != done:
                    done, since = now, time.monotonic()
                elif time.monotonic() > since + STALL_SECONDS:
                    has_stalled.set()
                    _kill_at_once(self.process)
                    return

        watching = threading.Thread(target=watch, daemon=True)
        watching.start()
        try:
            yield
        except (OperatorError, psycopg.Error):
            if has_stalled.is_set():
                raise InconclusiveError(
                    f"The restored server has done nothing for {STALL_SECONDS:g} s and was ended: it was"
                    " stopped, or a disk is dead."
                ) from None
            raise
        finally:
            is_over.set()
            watching.join()

    def url(self, database: str = "") -> str:
        """The superuser's URL, over the private socket."""
        name = database or self.database
        return f"postgresql://postgres@/{name}?host={self.sockets}&port={self.port}"

    def connect(self, database: str = "") -> psycopg.Connection:
        options = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
        return waiting.connect(self.url(database), options=options)

    def forget_settings(self) -> None:
        """Forget what the data sets for roles and databases, for whatever connects to a copy."""
        with self.connect("postgres") as connection:
            connection.execute("SET allow_system_table_mods = on")
            connection.execute("DELETE FROM pg_db_role_setting")

    @property
    def home(self) -> Home:
        """A separate home with a short path and the live one's secrets, for services that use this server."""
        return Home(self.sockets)

    @property
    def settings(self) -> Settings:
        """The installation's settings, with this server in place of the live one."""
        return msgspec.structs.replace(
            self.context.settings,
            database_url=SecretUrl(self.url()),
            redis_url=SecretUrl("redis://127.0.0.1:1/0"),
        )


@contextmanager
def running_server(
    context: BackupContext,
    data: Path,
    sockets: Path,
    options: Mapping[str, str] = MappingProxyType({}),
    *,
    database: str = postgres.DATABASE,
    is_scratch: bool = True,
    tell: Callable[[int], None] = lambda _: None,
) -> Iterator[ScratchServer]:
    """Run PostgreSQL on a data directory, on its own socket, until the block ends.

    Args:
        data: the data directory; never the live one.
        sockets: the folder of its socket.
        options: more settings, such as ``recovery_target_lsn``.
        database: the database to connect to.
        is_scratch: the data is discarded afterwards.
        tell: called with the LSN reached while the server replays WAL.

    Raises:
        OperatorError: the data directory is live or leads out of itself, or the server does not start; the
            message quotes its log.
    """
    live = context.home.postgres_data
    if data.resolve() == live.resolve() or (data / "postmaster.pid").exists():
        raise OperatorError(f"{data} is in use by a live server: nothing was changed.")
    _require_closed(data)
    (port,) = free_ports(1)
    log = sockets / "postgres.log"
    configuration = {
        "port": str(port),
        "unix_socket_directories": str(sockets),
        "hba_file": str(sockets / "pg_hba.conf"),
        "ident_file": str(sockets / "pg_ident.conf"),
        **_CONFIGURATION,
        **(_DISCARDED if is_scratch else {}),
        **options,
    }
    (sockets / "pg_hba.conf").write_text(_ACCESS)
    (sockets / "pg_ident.conf").write_text("")
    (sockets / "postgresql.conf").write_text(
        "".join(f"{name} = {quoting.postgres(value)}\n" for name, value in configuration.items())
    )
    # It is read whatever the configuration is. Its settings are those of the server that stays.
    automatic = data / AUTOMATIC
    altered = automatic.read_bytes() if automatic.exists() else b""
    automatic.write_bytes(b"")
    chown_to_postgres(sockets)
    with log.open("wb") as output:
        process = programs.start(
            [context.program("postgres"), "-D", str(data),
             "-c", f"config_file={sockets / 'postgresql.conf'}"],
            output=output,
            environment={**os.environ, "LC_ALL": "C"},
            folder=sockets,
            user=users.service_user(),
            death_signal=signal.SIGQUIT,
            writable=(data, sockets),
        )  # fmt: skip
    try:
        _wait_until_open(process, data, log, tell)
        yield ScratchServer(context, sockets, port, database, process)
    finally:
        programs.stop(process, signal.SIGQUIT if is_scratch else signal.SIGINT, STOP_SECONDS)
        automatic.write_bytes(altered)


def _require_closed(data: Path) -> None:
    """Refuse a data directory that leads out of itself.

    Raises:
        OperatorError: it contains a link.
    """
    for folder, folders, files_ in os.walk(data):
        for name in (*folders, *files_):
            path = Path(folder, name)
            if path.is_symlink():
                raise OperatorError(
                    f"{path} leads to {path.readlink()}, where a server on this copy would change the files"
                    " of another: it was not started."
                )


def _wait_until_open(
    process: programs.RunningProgram, data: Path, log: Path, tell: Callable[[int], None]
) -> None:
    """Wait until the server has recovered and accepts connections, as long as it makes progress.

    Raises:
        OperatorError: it exited, or made no progress for a while.
    """
    progress, last = None, time.monotonic()
    while not _is_ready(data):
        if process.poll() is not None:
            raise OperatorError(f"The restored server exited: {_failure_reason(log)}")
        said = log.read_text(errors="replace")
        if replayed := _REPLAYED.findall(said):
            tell(archive.parse_lsn(replayed[-1]))
        if (now := (len(said), _work_done(process))) != progress:
            progress, last = now, time.monotonic()
        elif time.monotonic() > last + STALL_SECONDS:
            raise OperatorError(
                f"The restored server has made no progress for {STALL_SECONDS} s: {_failure_reason(log)}"
            )
        time.sleep(POLL_SECONDS)


def _is_ready(data: Path) -> bool:
    """Whether its lock file says that the server accepts connections (miscadmin.h, `LOCK_FILE_LINE_*`)."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > STATUS_LINE and lines[STATUS_LINE].strip() == "ready"


def _work_done(process: programs.RunningProgram) -> tuple[int, int]:
    """The bytes that a server's processes have read and written, and the steps of CPU time that they took.

    A container may hide the bytes. An idle server takes less than a step.
    """
    transferred, seconds = 0, 0.0
    for pid in processes.family(process.pid)[1:]:
        with contextlib.suppress(psutil.Error):
            child = psutil.Process(pid)
            used = child.cpu_times()
            seconds += used.user + used.system
            counted = child.io_counters()
            transferred += counted.read_chars + counted.write_chars
    return transferred, int(seconds // CPU_STEP_SECONDS)


def _failure_reason(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    bad = [line for line in lines if "FATAL" in line or "PANIC" in line]
    return programs.last_lines("\n".join(bad[:2] or lines[-3:]))


def init_empty(scratch: ScratchFolder) -> None:
    """Create an empty data directory in a scratch folder, as for the live server."""
    scratch.home.run.mkdir(exist_ok=True)
    apart = msgspec.structs.replace(
        scratch.context.settings.backups, folder=str(scratch.root / "none"), archive="off"
    )
    server.prepare(scratch.home, msgspec.structs.replace(scratch.context.settings, backups=apart))
