"""Barman, which takes physical backups and receives what PostgreSQL writes: the one seam to it.

It is run as a program, and its catalogue is not ours: what a backup is stands in what PostgreSQL wrote.
Restoring takes PostgreSQL's own tools, and works where Barman and its catalogue are gone.
"""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import BACKUP, Secrets
from chitlaq.core.installation.settings import Settings
from chitlaq.stack.servers import postgres
from chitlaq.stack.supervisor.process import ends_with_us

SERVER = "chitlaq"

# Every ten seconds by default: what it has would seem to be far behind whenever much is written.
RECEIVER = """\
#!/bin/sh
# Written by ChitLaq: the receiver tells the server every second what it has.
exec {program} "$@" --status-interval=1
"""

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
streaming_conninfo = {connection}
backup_method = postgres
streaming_archiver = on
slot_name = {slot}
path_prefix = {wrapped}:{programs}
compression = zstd
; Barman deletes the log from before the first backup that it knows, and it does not know those that were
; fetched from elsewhere: with this it deletes none, and we what no backup needs.
worm_mode = on
"""


def is_wanted(settings: Settings) -> bool:
    """Whether physical backups are ours to take: of the embedded PostgreSQL, unless switched off."""
    return settings.embeds("postgres") and settings.backups.archive != "off"


def folder(home: Home, settings: Settings) -> Path:
    """Where Barman keeps this server's backups and what it received."""
    return settings.backup_folder(home) / "physical" / SERVER


def streaming(home: Home, settings: Settings) -> Path:
    """What was received and is not in the archive yet, the last segment as ``.partial``."""
    return folder(home, settings) / "streaming"


def waiting(home: Home, settings: Settings) -> list[Path]:
    """What was received whole and will be in the archive next, oldest first."""
    place = streaming(home, settings)
    whole = sorted(path for path in place.glob("*") if not path.name.endswith(".partial"))
    # Barman takes the last file for one that is being received, where it sees no other.
    return whole if any(place.glob("*.partial")) else whole[:-1]


def prepare(home: Home, settings: Settings) -> None:
    """Write the configuration, and make the folders.

    Raises:
        OperatorError: the folder of backups cannot be made.
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
        # In a new folder Barman is not sure that what it receives is this server's own.
        for name in ("base", "wals", "streaming", "incoming", "errors", "meta"):
            (place / SERVER / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise OperatorError(
            f"The folder of backups {place} cannot be made: {error.strerror}."
        ) from None
    passwords = home.backup / "pgpass"
    _write(passwords, f"*:*:*:{BACKUP}:{Secrets(home.secrets).postgres_password(BACKUP)}\n")
    programs = postgres.programs(home)
    receiver = _wrapped(home) / "pg_receivewal"
    _write(receiver, RECEIVER.format(program=shlex.quote(str(programs / receiver.name))), 0o700)
    connection = (
        f"host={home.postgres_socket} port={settings.port_of('postgres')} user={BACKUP}"
        f" dbname=postgres passfile={passwords}"
    )
    text = CONFIGURATION.format(
        user=getpass.getuser(),
        physical=place,
        locks=locks,
        home=home.backup,
        server=SERVER,
        connection=connection,
        slot=BACKUP,
        wrapped=_wrapped(home),
        programs=programs,
    )
    _write(_configuration(home), text)


def command(home: Home, *words: str) -> list[str]:
    """Return what runs Barman with its configuration."""
    return [sys.executable, "-m", "barman.cli", "--config", str(_configuration(home)), *words]


def run(home: Home, settings: Settings, *words: str) -> str:
    """Run Barman to its end, and return what it printed.

    Raises:
        OperatorError: it failed, with what it said.
    """
    prepare(home, settings)
    done = subprocess.run(
        command(home, *words),
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        cwd=home.root,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        preexec_fn=ends_with_us,
    )
    if done.returncode != 0:
        said = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
        reason = " ".join(said[:3] or (done.stderr or done.stdout).strip().splitlines()[-1:])
        raise OperatorError(f"barman {words[0]} failed: {reason or f'exit code {done.returncode}'}")
    return done.stdout


def catalogued(home: Home, settings: Settings, backup: str) -> Path:
    """The file by which Barman knows a backup."""
    return folder(home, settings) / "meta" / f"{backup}-backup.info"


def leave_timeline(home: Home, settings: Settings) -> None:
    """Archive all that was received, and put aside the last segment, which will not become whole.

    The receiver goes on from the newest file that it finds; one of a past that a restore has left
    behind would stop it.

    Raises:
        OperatorError: Barman failed.
    """
    prepare(home, settings)
    place = streaming(home, settings)
    if not any(place.glob("*.partial")):
        # Barman takes the last file for one that is being received.
        (place / f"{'F' * 24}.partial").touch()
    run(home, settings, "archive-wal", SERVER)
    (place / f"{'F' * 24}.partial").unlink(missing_ok=True)
    for file in place.glob("*.partial"):
        aside = place.with_name("left-behind")
        aside.mkdir(exist_ok=True, mode=0o700)
        shutil.move(file, aside / file.name)


def _configuration(home: Home) -> Path:
    return home.backup / "barman.conf"


def _wrapped(home: Home) -> Path:
    """The folder of programs that are called with more than Barman has words for."""
    return home.backup / "programs"


def _write(path: Path, text: str, mode: int = 0o600) -> None:
    # Not durable: generated at each start.
    files.write(path, text, mode=mode, is_durable=False)
