"""A folder in memory, for what processes share while they live.

Whoever writes to a disk waits for it, also through mapped memory: where a process counts, a slow disk would
stop it at each count.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

PLACE = Path("/dev/shm")  # noqa: S108 - what is made there has an unknown name
PREFIX = "chitlaq-"
SYSTEMD = Path("/run/systemd/system")
LAST_SYSTEM_USER = 999
"""At the end of other users' sessions logind removes what they have in memory (logind.conf(5), RemoveIPC)."""
FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE = 0x01, 0x02

_libc = ctypes.CDLL(None, use_errno=True)


def link(path: Path) -> None:
    """Replace a folder by an empty one: a link to one in memory, if there is some that stays.

    Raises:
        OSError: the path cannot be replaced.
    """
    remove(path)
    if SYSTEMD.exists() and os.getuid() > LAST_SYSTEM_USER:
        path.mkdir(parents=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Of an unknown name, and only for this user: the place is everybody's.
        made = tempfile.mkdtemp(prefix=PREFIX, dir=PLACE)
    except OSError:
        path.mkdir()
    else:
        path.symlink_to(made)


def remove(path: Path) -> None:
    """Remove a folder that `link` has made, with all that is in it."""
    if path.is_symlink():
        # Whoever else may write there must not lead root to remove something of their choice.
        if (made := path.readlink()).parent == PLACE and made.name.startswith(PREFIX):
            shutil.rmtree(made, ignore_errors=True)
        path.unlink()
    else:
        with suppress(FileNotFoundError):
            shutil.rmtree(path)


def release(file: int, until: int) -> None:
    """Give back the memory of an open file's first bytes, which are a hole from then on; nothing else moves.

    Raises:
        OSError: the file is of a kind that can have no holes.
    """
    mode = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
    if _libc.fallocate(file, mode, ctypes.c_int64(0), ctypes.c_int64(until)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
