"""Backups: what lies in the folder. A file is not yet a backup: that it is one, only a restore shows."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from chitlaq.ops.checks.check import (
    Finding,
    Section,
    Table,
    Unseen,
    Value,
    Verdict,
    check,
    finding,
    judged,
)
from chitlaq.ops.checks.system import System
from chitlaq.ops.checks.words import count, duration, size

SHOWN = 5
CONFIGURATION = "config_*.tar.gz"
DATABASE = "*.sql*"


def _files(folder: Path, pattern: str) -> list[tuple[float, int, str]]:
    """(age in seconds, bytes, name) of the files, newest first; links are not counted twice.

    Raises:
        Unseen: the folder is there, and this user may not look.
    """
    try:
        states = [
            (time.time() - state.st_mtime, state.st_size, file.name)
            for file in folder.glob(pattern)
            if not file.is_symlink() and (state := file.stat())
        ]
    except OSError as error:
        raise Unseen(f"{folder} cannot be looked at: {error.strerror}") from None
    return sorted(states)


async def _newest(system: System, pattern: str, what: str) -> Finding:
    folder = system.settings.backup_folder(system.home)
    files = await system.blocking(partial(_files, folder, pattern))
    if not files:
        return finding(
            f"there is no backup of the {what} in {folder}",
            {"backups": Value(0)},
            least=Verdict.CRITICAL,
        )
    age, bytes_, name = files[0]
    return finding(
        f"{name}, {duration(age)} old, {size(bytes_)}; nobody has restored it: whether it is good"
        " is not known",
        {
            "age": judged(age / 3600, "hours", system.limits.backup_age_hours),
            "size": Value(bytes_, "bytes"),
            "backups": Value(len(files)),
        },
        Table(
            f"newest of {count(len(files), 'file')} in {folder}",
            ["file", "age", "size"],
            [[one[2], duration(one[0]), size(one[1])] for one in files[:SHOWN]],
        ),
        least=Verdict.CRITICAL if bytes_ == 0 else Verdict.WARNING,
    )


@check(
    "backup.database",
    "Backup of the database",
    section=Section.BACKUPS,
    looks_at="the folder of backups",
    commands=("ls -la $BACKUPS | tail -5",),
    remedy='`chitlaq exec postgres pg_dump -U postgres chitlaq > "$BACKUPS/chitlaq_$(date +%F).sql"`.',
)
async def database(system: System) -> Finding:
    return await _newest(system, DATABASE, "database")


@check(
    "backup.configuration",
    "Backup of the configuration",
    section=Section.BACKUPS,
    looks_at="the folder of backups",
    commands=("ls -la $BACKUPS/config_*.tar.gz", "tar -tzf $BACKUPS/config_latest.tar.gz"),
    remedy="`tar -czf $BACKUPS/config_$(date +%F).tar.gz -C $CHITLAQ_HOME chitlaq.toml secrets`, kept safe.",
)
async def configuration(system: System) -> Finding:
    return await _newest(system, CONFIGURATION, "configuration")
