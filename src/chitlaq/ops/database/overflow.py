"""Transactions that the disk had no room for: one file each in shared memory (``/dev/shm``).

The run that saw the disk fail is one that must not be lost. ops-service stores them when it can.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from chitlaq.core import ids
from chitlaq.core.host import files
from chitlaq.core.installation.home import Home
from chitlaq.core.telemetry import logs

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made below it

log = logs.get("overflow")

_Statements = list[tuple[str, list[str | int | float | None]]]


def put(home: Home, statements: Sequence[object]) -> None:
    """Keep a transaction; when this returns, it outlives the process.

    Raises:
        OSError: shared memory is full, or somebody else's folder is in the way.
    """
    made = folder(home)
    made.mkdir(exist_ok=True, mode=0o700)
    _require_ours(made)
    # The names sort by time.
    files.write(made / f"{ids.new()}.json", msgspec.json.encode(statements), is_durable=False)


def waiting(home: Home) -> list[Path]:
    """Return the transactions that wait, oldest first."""
    with suppress(OSError):
        _require_ours(folder(home))
        return sorted(folder(home).glob("*.json"))
    return []


def read(path: Path) -> _Statements | None:
    """Return a transaction; None if another process has stored it, or nobody can read it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Statements)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        set_aside(path, error)
        return None


def set_aside(path: Path, error: Exception) -> None:
    """Rename a transaction that can never be stored, so that it blocks no other."""
    log.error("record set aside", path=str(path), error=str(error))
    with suppress(OSError):
        path.rename(path.with_suffix(".broken"))


def folder(home: Home) -> Path:
    # No parent folder, because another user could have created it first.
    name = hashlib.sha256(os.fsencode(home.root)).hexdigest()[:16]
    return MEMORY / f"chitlaq-ops-{name}"


def _require_ours(made: Path) -> None:
    """Refuse what another user put there: everybody may write to shared memory."""
    state = made.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid():
        raise PermissionError(f"{made} is not a folder of this user")
