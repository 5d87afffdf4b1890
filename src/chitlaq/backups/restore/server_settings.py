"""The settings of a restored server: those that this machine has now, not those of the backup's time.

A server must also have room for what it restores: with fewer `max_prepared_transactions` than there are
prepared transactions it would not start.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from chitlaq.backups.context import BackupContext
from chitlaq.backups.postgres import scratch
from chitlaq.core.host import files, programs
from chitlaq.stack.install import users
from chitlaq.stack.servers import postgres as server

# What operators set: in their own file, and with `ALTER SYSTEM`, which outranks it.
_FILES = (server.LOCAL, scratch.AUTOMATIC)
_FOR_PREPARED = "max_prepared_transactions"
_SECONDS = 30.0


def keep(context: BackupContext, target: Path, needed: Mapping[str, int]) -> list[str]:
    """Give a restored data directory the settings of the current one; returns what else was set, and why.

    Args:
        target: the restored data directory; its server is stopped.
        needed: what the server that wrote the WAL had at least. Without a current data directory, what it
            raised after the backup is known from there only.
    """
    live, user = context.home.postgres_data, users.service_user()
    is_live = (live / "PG_VERSION").exists()
    for name in _FILES if is_live else ():
        (target / name).unlink(missing_ok=True)
        if (live / name).exists():
            files.write(target / name, (live / name).read_bytes(), mode=0o600, owner=user)
    raised = {
        name: value
        for name, value in needed.items()
        if (name == _FOR_PREPARED or not is_live) and value > _in_effect(context, target, name)
    }
    if not raised:
        return []
    lines = "".join(f"{name} = '{value}'\n" for name, value in raised.items())
    automatic = target / scratch.AUTOMATIC
    before = automatic.read_text() if automatic.exists() else ""
    files.write(automatic, f"{before.rstrip()}\n{lines}", mode=0o600, owner=user)
    said = ", ".join(f"{name} = {value}" for name, value in raised.items())
    note = (
        f"The restored server has {said}, as the server that wrote the WAL did, by `ALTER SYSTEM`:"
        " `ALTER SYSTEM RESET NAME` takes that back."
    )
    return [note]


def _in_effect(context: BackupContext, data: Path, name: str) -> int:
    """A setting of a stopped server; 0 if its files cannot be read."""
    found = programs.run(
        [context.program("postgres"), "-D", str(data), "-C", name],
        timeout_seconds=_SECONDS,
        user=users.service_user(),
    )
    return int(found.stdout) if found.code == 0 and found.stdout.strip().isdigit() else 0
