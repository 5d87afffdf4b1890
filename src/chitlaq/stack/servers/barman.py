"""Barman, which takes base backups and receives WAL: the only module that runs it.

Only its command line is used, not its catalogue: PostgreSQL's own files describe a backup, and
restores use PostgreSQL's own tools and work without Barman.
"""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files, programs, quoting
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import BACKUP, Secrets
from chitlaq.core.installation.settings import Settings
from chitlaq.stack.servers import postgres
from chitlaq.stack.supervisor import leftovers

SERVER = "chitlaq"
# How long Barman may run without adding to its folder; a checkpoint comes first.
STALL_SECONDS = 600.0
_WRITES = {"backup": "base", "archive-wal": "wals"}

# Barman gives its programs an empty standard input; with Barman's own, they bear the same mark as Barman
# (stack/supervisor/leftovers.py).
WRAPPER = """\
#!/bin/sh
# Written by ChitLaq.
exec {program} "$@" {options}</proc/$PPID/fd/0
"""
# With `file` Barman looks whether it has encrypted a file, which nobody tells it to do; images and small
# machines do not have that program.
FILE = """\
#!/bin/sh
# Written by ChitLaq.
echo data
"""
# The default of ten seconds would make the archive seem far behind under heavy writes.
WRAPPED = {"pg_receivewal": "--status-interval=1 ", "pg_basebackup": ""}

CONFIGURATION = """\
; Written by ChitLaq before each use.
[barman]
barman_user = {user}
barman_home = {physical}
barman_lock_directory = {locks}
configuration_files_directory = {home}/barman.d
log_level = WARNING

[{server}]
description = ChitLaq's PostgreSQL
conninfo = {connection}
; A replication connection has no database, so its encoding is SQL_ASCII unless one is asked for. Python loads
; its codec for that only then, and while it could not, every command failed: "unknown encoding: ascii".
streaming_conninfo = {connection} client_encoding=UTF8
backup_method = postgres
streaming_archiver = on
slot_name = {slot}
path_prefix = {wrapped}:{programs}
compression = zstd
; Barman deletes WAL older than the first backup that it knows, and it does not know backups fetched from
; off-site. With this it deletes none, and we delete what no backup needs.
worm_mode = on
"""


def is_wanted(settings: Settings) -> bool:
    """Whether base backups are taken: of the embedded PostgreSQL, unless switched off."""
    return settings.embeds("postgres") and settings.backups.archive != "off"


def folder(home: Home, settings: Settings) -> Path:
    """Where Barman keeps this server's backups and WAL."""
    return settings.backup_folder(home) / "physical" / SERVER


def streaming(home: Home, settings: Settings) -> Path:
    """WAL that was received and is not archived yet, the last segment as ``.partial``."""
    return folder(home, settings) / "streaming"


def waiting(home: Home, settings: Settings) -> list[Path]:
    """Complete segments that will be archived next, oldest first."""
    place = streaming(home, settings)
    whole = sorted(path for path in place.glob("*") if not path.name.endswith(".partial"))
    # If there is no partial segment, Barman assumes that the last file is still being received.
    return whole if any(place.glob("*.partial")) else whole[:-1]


def prepare(home: Home, settings: Settings) -> None:
    """Write the configuration and create the folders.

    Raises:
        OperatorError: the backup folder cannot be created.
    """
    place = folder(home, settings).parent
    locks = home.run / "barman"
    try:
        for one in (
            place.parent,
            place,
            home.backup,
            home.backup / "barman.d",
            _wrapped(home),
            locks,
        ):
            one.mkdir(parents=True, exist_ok=True, mode=0o700)
        # In a new folder Barman cannot tell whether the WAL that it receives is this server's.
        for name in ("base", "wals", "streaming", "incoming", "errors", "meta"):
            (place / SERVER / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise OperatorError(
            f"The folder of backups {place} cannot be made: {error.strerror}."
        ) from None
    _write(_passwords(home), f"*:*:*:{BACKUP}:{Secrets(home.secrets).postgres_password(BACKUP)}\n")
    installed = postgres.programs(settings)
    for name, options in WRAPPED.items():
        text = WRAPPER.format(program=shlex.quote(str(installed / name)), options=options)
        _write(_wrapped(home) / name, text, 0o700)
    _write(_wrapped(home) / "file", FILE, 0o700)
    # Without paths: Barman takes such a string apart, and quotes nothing when it puts it together again.
    connection = f"port={settings.port_of('postgres')} user={BACKUP} dbname=postgres"
    text = CONFIGURATION.format(
        user=getpass.getuser(),
        physical=_twice(place),
        locks=_twice(locks),
        home=_twice(home.backup),
        server=SERVER,
        connection=connection,
        slot=BACKUP,
        wrapped=_twice(_wrapped(home)),
        programs=_twice(installed),
    )
    _write(_configuration(home), text)


def command(home: Home, *words: str) -> list[str]:
    """Return the command line of Barman with its configuration, where the server is, and the password."""
    variables = {
        "PGHOST": home.postgres_socket,
        "PGPASSFILE": _passwords(home),
        "PATH": f"{_wrapped(home)}:{os.environ.get('PATH', os.defpath)}",
    }
    named = [f"{name}={value}" for name, value in variables.items()]
    return [
        "/usr/bin/env",
        *named,
        sys.executable,
        "-m",
        "barman.cli",
        "--config",
        str(_configuration(home)),
        *words,
    ]


def run(home: Home, settings: Settings, *words: str) -> str:
    """Run one of Barman's commands that write, and return its output.

    Raises:
        OperatorError: it failed; with its error.
    """
    prepare(home, settings)
    # Only what this command writes: the receiver goes on writing, whatever has stopped.
    place = folder(home, settings) / _WRITES[words[0]]
    mark = leftovers.mark(home, "backup")
    try:
        done = programs.run(
            command(home, *words),
            timeout_seconds=STALL_SECONDS,
            progress=lambda: _written(place),
            folder=home.root,
            variables={"LC_ALL": "C.UTF-8"},
            stdin=mark,
        )
    except programs.ProgramTimeoutError:
        raise OperatorError(
            f"barman {words[0]} has made no progress for {STALL_SECONDS:g} s and was stopped. See"
            " `chitlaq logs postgres`: it does not end a base backup while an archive_command of yours fails."
        ) from None
    finally:
        os.close(mark)
    if done.code != 0:
        said = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
        raise OperatorError(f"barman {words[0]} failed: {' '.join(said[:3]) or done.reason}")
    return done.stdout


def _written(folder: Path) -> int:
    """The bytes of all files in a folder, some of which may vanish meanwhile."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += Path(parent, name).lstat().st_size
    return total


def catalogued(home: Home, settings: Settings, backup: str) -> Path:
    """Barman's catalogue entry of a backup."""
    return folder(home, settings) / "meta" / f"{backup}-backup.info"


def leave_timeline(home: Home, settings: Settings) -> None:
    """Archive all received WAL and set aside the last segment, which will never be complete.

    The receiver resumes after the newest file that it finds; one of a timeline that a restore has
    left would stop it.

    Raises:
        OperatorError: Barman failed.
    """
    prepare(home, settings)
    place = streaming(home, settings)
    if not any(place.glob("*.partial")):
        # Barman assumes that the last file is still being received.
        (place / f"{'F' * 24}.partial").touch()
    run(home, settings, "archive-wal", SERVER)
    (place / f"{'F' * 24}.partial").unlink(missing_ok=True)
    for file in place.glob("*.partial"):
        aside = place.with_name("left-behind")
        aside.mkdir(exist_ok=True, mode=0o700)
        shutil.move(file, aside / file.name)


def _twice(value: object) -> str:
    """A value as Barman wants it, which reads its configuration into a second one of the same kind."""
    return quoting.ini(quoting.ini(value))


def _passwords(home: Home) -> Path:
    return home.backup / "pgpass"


def _configuration(home: Home) -> Path:
    return home.backup / "barman.conf"


def _wrapped(home: Home) -> Path:
    """The folder of wrappers for programs that need what Barman cannot pass."""
    return home.backup / "programs"


def _write(path: Path, text: str, mode: int = 0o600) -> None:
    files.ensure(path, text, mode=mode)
